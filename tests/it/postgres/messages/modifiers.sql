create table t(a int, n numeric(8,2), v varchar(5));

insert into t values (1, 1.5, 'abc');

select case when true then 1.5::numeric(8,2) else 2 end;

select case when true then n else 2 end from t;

select case when false then 2 else n end from t;

select case when a = 1 then n when true then n else 3 end from t;

select case when a = 1 then n when true then 4 else 3 end from t;

select coalesce(n, 2) from t;

select coalesce(null, n) from t;

select coalesce(null, n, 2) from t;

select coalesce(1.5::numeric(8,2), 2);

select coalesce(null::numeric, n) from t;

select coalesce(null::numeric(4,1), n) from t;

select coalesce(null::varchar(4), v) from t;

select (case when true then 1.5::numeric(8,2) else 2 end) + 1;

select x from (select case when true then 1.5::numeric(8,2) else 2 end x) z;

select x from (select case when true then n else 2 end x from t) z;

select x from (select case when true then n else 2 end x from t limit 1) z;

with w as (select case when true then n else 2 end x from t) select x from w;

with w as materialized (select case when true then n else 2 end x from t) select x from w;

select (select case when true then n else 2 end x from t);

select case when true then n else 2 end from t union all select 1.5;

select case when true then n else 2 end from t union all select n from t;

select case when true then n else 2 end from t union select n from t order by 1;

select case when true then n else 2 end from t group by 1;

select case when true then n else 2 end from t order by 1;

select max(case when true then n else 2 end) from t;

select distinct case when true then n else 2 end from t;

select nullif(n, 2) from t;

select case when true then (select n from t) else 2 end from t;

select array[case when true then n else 2 end] from t;

select case 1 when 1 then n else 2 end from t;

select case a when 1 then n else 2 end from t;

select case when null then 2 else v end from t;

select case when null then null else v end from t;

select coalesce(v) from t;

insert into t values (2, 2.5, 'x') returning case when true then n else 2 end;

update t set a = 3 where a = 2 returning coalesce(null, v);

create table c1 as select case when true then n else 2 end x from t;

select x from (select coalesce(null, n) x from t limit 1) z order by 1;

select x from (select coalesce(null, n) x from t limit 1) z limit 1;

select x, 1 from (select coalesce(null, n) x from t limit 1) z;

select x from (select coalesce(null, n) x from t limit 1) z where x > 0;

with w as (select coalesce(null, n) x from t) select p.x from w p, w q;

with w as (select coalesce(null, n) x from t), u as (select x from w) select u.x from w, u;

with w as (select coalesce(null, n) x from t), u as (select x from w) select u.x from u;

select case when a = 1 then null else n end from t;

select case when true then nullif(n, 2) else 2 end from t;

select coalesce(null, nullif(n, 2)) from t;

select case when 1 + 1 = 2 then v else 'abcdef' end from t;

values (case when true then 1.5::numeric(8,2) else 2 end);

values (case when true then 1.5::numeric(8,2) else 2 end), (3);

select coalesce(null, n) from t intersect select n from t order by 1;

select coalesce(null, n) from t except select n from t order by 1;

select coalesce(null, n) from t union select 1.5 order by 1;

delete from t where a = 3 returning coalesce(null, n);

insert into c1 values (1.555);

select x from c1;

create table c2 as select coalesce(null, v) x from t;

insert into c2 values ('abcdefgh');
