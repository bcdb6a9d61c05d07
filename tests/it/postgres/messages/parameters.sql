create table given(a int, b bigint, s text, n numeric, f bool, ts timestamp, d date, arr int[], j jsonb, v varchar(5))

prepare p0 as
select $1 in (array[1], $1, '{}'::int[])

prepare p1 as
select $1 from given where a = $1

prepare p2 as
select $1 from given where b = $1 limit $1

prepare p3 as
select $1, $1 from given limit $1

prepare p4 as
insert into given(a, b) select $1, $1

prepare p5 as
insert into given(a, b) select $1, $2 where $1 = 1

prepare p6 as
insert into given(a, s) select $1, $1 order by 1

prepare p7 as
insert into given(a) select $1 union select $1

prepare p8 as
insert into given(s) select $1 union select $1

prepare p9 as
insert into given(a) select distinct $1

prepare p10 as
insert into given(a) select distinct on ($1) $1

prepare p11 as
insert into given(a, b) values ($1, $1)

prepare p12 as
insert into given(a) values ($1), ($2) returning $1, $2

prepare p13 as
select $1 union select 1 union select $1

prepare p14 as
select $1 union select 1.5 union select 'x'

prepare p15 as
select 1 union select $1 where $1 = 'x'::text

prepare p16 as
select (select $1) + 1

prepare p17 as
select ((select $1)) = $1

prepare p18 as
select x + 1 from (select $1 as x) z

prepare p19 as
with w as (select $1 as x) select x + 1 from w

prepare p20 as
select $1 order by 1

prepare p21 as
select $1 order by $1

prepare p22 as
select $1 from given where n = $1 order by 1

prepare p23 as
select count($1), concat($2)

prepare p24 as
select count($1) from given where $1 = 1

prepare p25 as
select jsonb_build_object('a', $1)

prepare p26 as
select row($1)

prepare p27 as
select row($1), $1 = 1

prepare p28 as
select case when $1 then $1 else null::bool end where $1 > $1

prepare p29 as
select $1 is null

prepare p30 as
select $1 is null, $1 = 1

prepare p31 as
select 1 is null, $1 = 1, $1 is null

prepare p32 as
update given set a = $1, b = $1

prepare p33 as
update given set a = $1 where b = $1

prepare p34 as
update given set s = $1 where $1 = 1 returning $1

prepare p35 as
update given set (a, b) = ($1, $1)

prepare p36 as
update given set (a, b) = (select $1, $2)

prepare p37 as
delete from given where a = $1 and b = $1

prepare p38 as
select $1::int, $1

prepare p39 as
select $1, $1::int

prepare p40 as
select $1::int, $1::bigint

prepare p41 as
select ($1, $1) = (1, 1.5)

prepare p42 as
select (1, $1) = ($1, 1.5)

prepare p43 as
select $1 between 1 and 1.5

prepare p44 as
select $1 between '1' and 2

prepare p45 as
select nullif($1, 1), nullif(1.5, $1)

prepare p46 as
select coalesce($1, 1, $1, 1.5)

prepare p47 as
select greatest($1, $2)

prepare p48 as
select array[$1, 1], $1

prepare p49 as
select $1 = any('{1}'), $1

prepare p50 as
select $1 = any($2)

prepare p51 as
select 1 = any($1), 1.5 = any($1)

prepare p52 as
select $1 || $1

prepare p53 as
select $1 + $1

prepare p54 as
select $1 + 1, $1 + 1.5

prepare p55 as
select $1 like $2

prepare p56 as
select a from given order by a limit $1 offset $1

prepare p57 as
select a from given limit $1 offset $2

prepare p58 as
values ($1, 1), (2, $2)

prepare p59 as
values ($1), ($2)

prepare p60 as
select a in ($1, $2, b), $1 from given

prepare p61 as
select $1 in (1, 2), $1 in ('x')

prepare p62 as
select $1 in (1, 1.5), $1

prepare p63 as
select date_trunc($1, ts), $1 from given group by date_trunc($1, ts)

prepare p64 as
select array_agg($1)

prepare p65 as
select string_agg($1, $2)

prepare p66 as
select max($1)

prepare p67 as
select pg_typeof($1)

prepare p68 as
select to_jsonb($1)

prepare p69 as
select format($1, $2)

prepare p70 as
delete from given where ($2, $2) = (jsonb_typeof(j), b is null) returning not $1

prepare p71 as
insert into given(d, a) values ($1, sum($1 is unknown)), (coalesce(1, b), $1 in (select v))

prepare p72 as
with w as (select concat($1, $1) as x) select x, $1 from w where $2 = x

prepare p73 as
select date '2020-01-01', (concat(v, $1)) = any(true) from given where ((select $1)) = (1 is false)

prepare p74 as
select $1, s from given where ((select f from given)) = $1 in ($1, f)

prepare p75 as
select $1 union select not $1 between $2 and $1

prepare p76 as
select (concat(2.5, $1)) || $1 = any(arr), $1 from given where $1

prepare p77 as
select x from (select concat('a'::text, $1) as x) z where $1 = x

prepare p78 as
with w as (select ('1') is false as x) select x, $1 from w where $1 = x

prepare p79 as
delete from given where (sum('{}'::int[])) is distinct from (coalesce(b, 1)) returning count(j)

prepare p80 as
select $1, s from given where array[($1, $1) = (2.5, $1), (date '2020-01-01', $1) = ($2, $1)]

prepare p81 as
delete from given where (sum('a'::text)) < (not j) returning arr

prepare p82 as
select $1 < '1' from given join (values ($1 = any($1))) z(y) on y = $1

prepare p83 as
values (concat('{}'::int[], $2), not $1), ($2, ts is true)

prepare p84 as
delete from given where $1 returning $2 in (j, $1)

prepare p85 as
select x from (select ($1, 1) = (1::bigint, $1) as x) z where $2 = x

prepare p86 as
select x from (select concat($1, null) as x) z where $1 = x

prepare p87 as
select x from (select (select $1 where $1) as x) z where $1 = x

prepare p88 as
select $1, count($2) from given where true = any($1) = (v in (select $1))

prepare p89 as
insert into given(b, a) select coalesce(concat($2, f), nullif(v, 2.5)), $2 from given where $1 < $1 like $2

prepare p90 as
select $1, greatest(s, upper($1)) from given where (array_agg(s)) > 1

prepare p91 as
with w as (select $2 is unknown as x) select x, $1 from w where $1 = x

prepare p92 as
select $1 from given where nullif(('x') % $1, d in (date '2020-01-01', ts)) order by $1 limit $2

prepare p93 as
select true, case when $2 < f then $1 else concat($1, 2.5) end from given where (2.5) < (s = any(b))

prepare p94 as
select $1 in (array[2.5, $1], 1::bigint) union select (greatest(null, $1)) - (nullif(s, f))

prepare p95 as
with w as (select $2 < null as x) select x, $1 from w where $1 = x

prepare p96 as
update given set a = n, j = (arr -> $1) is distinct from $1 where (($1, ts) = ($2, $2)) is null

prepare p97 as
select x from (select $2 in (2.5, true) as x) z where $1 = x

prepare p98 as
select concat(2.5, $1), max(array[$1, $1]) from given where $2 = (coalesce($1, b))

prepare p99 as
select x from (select concat($1, $1) as x) z where $1 = x

prepare p100 as
select $1 union select not (not $1)

prepare p101 as
select x from (select concat($1, $1) as x) z where $1 = x

prepare p102 as
select $2, 2.5 from given where (pg_typeof('x')) < (array[$2, d])

prepare p103 as
insert into given(arr, b) values (greatest(concat($1, $1), array[ts, $2]), $1 and $1 is null)

prepare p104 as
select 1::bigint, ts from given where (concat($1, $1)) < ((2.5, ts) = (2.5, v))

prepare p105 as
select x from (select $1 = any($1) as x) z where $1 = x

prepare p106 as
select (s = $2) < $2 in (select $2), $1 from given where $1 - $1 > n

prepare p107 as
insert into given(b, s) select concat($1, $1) is not null, coalesce($2 = any(ts), $1 -> $1)

prepare p108 as
select s * arr from given join (values (concat($1, 1::bigint))) z(y) on y = $1

prepare p109 as
with w as (select (select f from given) as x) select x, $2 from w where $2 = x

prepare p110 as
select concat($1 is unknown, concat($1, $2)), n from given where (($1)::int) = (a -> b)

prepare p111 as
values (left($1, $1), (select '1' where $1)), (greatest('a'::text, date '2020-01-01'), $1 is null)

prepare p112 as
select greatest(arr, true) from given join (values (sum('a'::text))) z(y) on y = $1

prepare p113 as
with w as (select concat_ws($1, null) as x) select x, $2 from w where $1 = x

prepare p114 as
select a, coalesce($1, concat($1, $1)) from given where 'a'::text

prepare p115 as
select arr <> (date '2020-01-01') from given join (values (concat($1, $2))) z(y) on y = $1

prepare p116 as
select case $1 in (s, true) when a then b end, $1 from given where $1 = any(d) is null

prepare p117 as
insert into given(ts, n) values ($1, $1) returning substr('x', f)

prepare p118 as
with w as (select $1 = any($1) as x) select x, $1 from w where $2 = x

prepare p119 as
select greatest($1, j) from given join (values (string_agg($2, 2.5))) z(y) on y = $1

prepare p120 as
with w as (select $1 is null as x) select x, $1 from w where $1 = x

prepare p121 as
select $1, count(not $1) from given where (v - $1) = $1

prepare p122 as
delete from given where $1 < (concat($1, $1)) returning $1 % $1

prepare p123 as
with w as (select $1 in ($1, $1) as x) select x, $2 from w where $2 = x

prepare p124 as
with w as (select ('1')::bigint as x) select x, $2 from w where $2 = x

prepare p125 as
with w as (select array['x', $2] as x) select x, $1 from w where $1 = x

prepare p126 as
values ((1::bigint)::int, concat($1, $2)), ((1::bigint) = any(n), $1)

prepare p127 as
select s from given where $1 order by sum($1) limit $1

prepare p128 as
insert into given(arr, ts) values ($1, $1), ($1 is null, array[$1, $2])

prepare p129 as
with w as (select $1 is null as x) select x, $1 from w where $1 = x

prepare p130 as
select x from (select pg_typeof($2) as x) z where $1 = x

prepare p131 as
insert into given(s, a) values ($2, string_agg($1 is distinct from j, max('x'))) returning $1 * n

prepare p132 as
delete from given where (concat($2, f)) = $1 returning array[j, $1]

prepare p133 as
with w as (select nullif(2.5, null) as x) select x, $1 from w where $1 = x

prepare p134 as
select ('x')::text is null from given where (coalesce(v, $2)) < $2 order by concat($1, b) limit $2

prepare p135 as
with w as (select format($2, $2) as x) select x, $2 from w where $1 = x

prepare p136 as
with w as (select $1 is null as x) select x, $1 from w where $1 = x

prepare p137 as
select n, nullif('1', n) from given where (array_position($1, $1)) < $1

prepare p138 as
select x from (select concat($2, '1') as x) z where $2 = x

prepare p139 as
with w as (select not $2 as x) select x, $1 from w where $1 = x

create table given_too(a int, b text, d date, arr int[])

select array[1.5, 2.5]::int[]

select array['1', '2']::int[]

select array['1', 'x']::int[]

select array[1, null]::text[]

select (array['abcdef', 'b'])::varchar(3)[]

select array['2020-01-01', now()::date]::date[]

select array[true]::date[]

select array[1, true]::int[]

select array[1, '2']::numeric(5,2)[]

select array[]::int[]

select array[1]::int

select array[1]::text

select array['1', 2]::text

select cast(array['1', '2'] as int[])

select array[a, b]::text[] from given_too

select array[b]::int[] from given_too

select array[a]::varchar(2)[], array[a]::text[]::int[] from given_too

prepare a1 as select array[$1, $2]::int[]

execute a1('1', 2)

execute a1('x', 2)

prepare a2 as select array[$1, 2]::text[]

execute a2(1)

prepare a3 as select array[$1, 2]::int[], $1

execute a3(true)

prepare a5 as select null is distinct from $1

prepare a6 as select $1 is not distinct from null, $1 = 1

select array[1, 2]::int[] = array['1', 2]

select a = any(array['1', '2']::int[]) from given_too

select a = any(array['1', '2']::text[]) from given_too

select array[1/0]::int[]

select array[1000000]::int2[]

select array['1000000']::int2[]

insert into given_too(d, a) select 1, not (not true)

insert into given_too(a, b) select not not true, 1

select 1 where - (- 1)

select 1 where not not 1

create table dflt(a int[] default array['1', 2]::int[], c int check (c = any(array['1', '2']::int[])))

insert into dflt(c) values (1) returning a

insert into dflt(c) values (3)

select array_agg(x) from unnest(array['3', 1]::int[]) x

prepare b1 as select $1 in (1, 2, b) from given

prepare b2 as select $1 in (1, b, 2, n), $1 from given

prepare b3 as with recursive w(x) as (select $1 union all select x || 'a' from w where length(x) < 3) select x from w

execute b3('1')

prepare b4 as with recursive w(x) as (select $1 union all select x + 1 from w where x < 3) select x from w

prepare b5 as with recursive w(x) as (select 'a' union all select x || 'a' from w where length(x) < 3) select x from w

prepare b6 as with recursive w(x) as (select null union all select x || 'a' from w where length(x) < 3) select x from w
