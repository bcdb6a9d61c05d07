create table analysed(a int, g int[], b text)

select to_jsonb('a')

select array_append('{}', 'x')

select array_cat('a','b')

select 'a' || to_jsonb('x')

select array_to_string(null, ',')

select jsonb_build_array(to_jsonb(null))

select array_append(1, 2)

select array_length('{1}', 1)

select unnest('{1}')

select array_position(array[1], 'x')

select cardinality('{}')

select 3 between asymmetric 1 and 5, 3 not between asymmetric 5 and 1

select case when nope then wrong else other end from analysed

select case nope when other then 1 else wrong end from analysed

select case 1 when nope then other end from analysed

select case when true then nope else other end from analysed

select case when true then 1 else ('{}'::int[])[1] end, (g)[1], ('{1}'::int[])[1]::text, case when a = 1 then 1 else g[1] end from analysed

select distinct on ((select max(a) from analysed)) (select max(a) from analysed), a from analysed order by (select max(a) from analysed), a desc

select distinct (select max(a) from analysed) from analysed order by (select max(a) from analysed)

select distinct on (exists (select 1 from analysed)) a from analysed order by exists (select 1 from analysed), a desc

select (select max(a) from analysed) + 1, count(*) from analysed group by (select max(a) from analysed)

select distinct on (false) a from analysed order by false

select distinct on (false) a from analysed order by a

select distinct on (nope) a from analysed order by wrong

select distinct e::json from analysed order by nope

select 1 from analysed where (select b from analysed limit 1) || 'x'

select 1 from analysed where ((select b from analysed limit 1)) || 'x'

select 1 from analysed where ( select b from analysed limit 1)

select 1 from analysed where -a

select 1 from analysed where (-a) in (1) = 'x' || b

select 1 from analysed where array[a] || 1

select 1 from analysed where not a

prepare p as select jsonb_build_object('k', $1)

prepare p as select $1 is null

prepare p as select concat($1)

select 1 from analysed where b like (select 1)

select coalesce((select b from analysed limit 1), 1) from analysed

select case when true then 1 else (select b from analysed) end

select 1 from analysed where 5 + (select a from analysed limit 1)

with m as (select to_jsonb('x') from analysed) select 1

with m as (select nope from analysed) select 1

select case when true then (select q from analysed) else r end, s from analysed where t

select 1 from analysed x, lateral (select x.q from analysed where r) y where s

select a not in ((not true), false) from analysed

prepare analysed_p as select nullif($1, $1) from analysed where case when $1 then true end
