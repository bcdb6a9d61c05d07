create table t(a int, b int); insert into t values (1,1),(2,0),(null,3)

create table e(a int, b int)

create table log(a int)

create sequence s

create function vo(x int) returns int language plpgsql as 'begin insert into log values (x); return x; end'

create function im(x int) returns int language plpgsql immutable as 'begin raise notice ''im %'', x; return x; end'

create function f1(x int) returns int language sql as 'select x / 0'

create function f2(x int) returns int language sql as 'select 1/0 + x'

create function f3(x int) returns int language sql immutable as 'select 1/0 + x'

create function f4(x int) returns int language sql strict as 'select 1/0 + x'

create function f5(x int) returns int language sql strict as 'select coalesce(x, 0) + 1/0'

create function f6(x int) returns int language sql as 'select 7'

create function f7(x int) returns int language sql strict as 'select 7'

create function f8(x int) returns int language sql as 'select x + x'

create function f9(x int) returns int language sql as 'select case when x = 1 then 1/0 else x end'

create function f10(x int) returns bool language sql as 'select x = 1 and 1/0 = 1'

create function f11(x int) returns bool language sql as 'select x = 1 or 1/0 = 1'

create function f12(x int) returns int language sql as 'select coalesce(x, 1/0)'

create function f13(x int) returns int language sql immutable as 'select x + nextval(''s'')::int'

create function f14(x int) returns int language sql stable as 'select 1/x'

create function f15(x int, y int) returns int language sql as 'select x / y'

create function f16(x int) returns int language sql as 'select f2(x)'

create function f17(x int) returns int language sql as 'select f1(x) where true'

create function f18(x int) returns bigint language sql as 'select x + 1/0'

create function f19(x int) returns text language sql as 'select x || ''a'''

create function f20(x int) returns int language sql as 'select (select x / 0)'

create function f21(x int) returns int language sql as 'select x + 1/0 from e'

create function f22(x int) returns int language sql as 'select x; select x + 1/0'

create function f23(x int) returns int language sql as 'select vo(x) + 1'

create function f24(x int) returns int language sql stable as 'select vo(x) + 1'

create function f25(x int) returns int language sql as 'select im(5) + x'

create function f26(x int) returns bool language sql as 'select x in (1, 1/0)'

create function f27(x int) returns int language sql as 'select case when x is null then 1/0 else 2 end'

select f1(a) from e

select f1(a) from t

select f2(a) from e

select f2(a) from t

select f2(1) from e

select f2(1)

select f3(1) from e

select f3(a) from e

select f4(a) from e

select f4(null) from e

select f4(null)

select f4(null) from t

select f5(a) from e

select f5(a) from t

select f5(1) from t

select f6(1/0) from e

select f6(a/0) from t

select f6(vo(a)) from t

select * from log; delete from log

select f7(a/0) from t

select f7(vo(a)) from t

select * from log; delete from log

select f8(vo(a)) from t

select * from log; delete from log

select f8(nextval('s')::int) from t

select f8((select 3)) from t

select f8(a+1+1+1+1) from t

select f9(1) from e

select f9(a) from e

select f9(a) from t

select f9(2) from t

select f10(2) from e

select f10(2) from t

select f10(a) from e

select f10(a) from t where a = 2

select f11(1) from t

select f11(2) from e

select f11(a) from e

select f12(1) from t

select f12(null) from e

select f12(a) from e

select f12(a) from t where a > 0

select f13(1) > 0, f13(a) > 0 from t

select f14(0) from e

select f14(b) from t

select f14(b) from e

select f15(1, 0) from e

select f15(a, 0) from e

select f15(a, 0) from t

select f15(null, a/0) from t

select f15(1, b) from t

select f16(a) from e

select f16(1)

select f16(f16(1))

select f6(f2(1)) from e

select f6(f2(a)) from e

select f17(a) from e

select f17(a) from t

select f18(a) from e

select f19(a) from t

select f20(a) from e

select f20(a) from t

select f21(a) from t

select f21(a) from e

select f22(a) from e

select f22(a) from t

select f23(a) from t

select * from log; delete from log

select f24(a) from t

select f25(a) from t

select f25(1) from e

select f26(a) from e

select f26(a) from t

select f27(a) from t where a > 0

select f27(a) from e

select f27(1)

select f27(null)

select * from e where f2(a) = 1

select * from e where f10(a)

select * from e where false and f2(a) = 1

select * from e where f2(a) = 1 and false

select * from t where f6(a) = 7 and f8(a) > 2

select a from e group by f2(a), a

select a from e order by f2(a)

select count(f2(a)) from e

select count(*) from e having f2(count(*)::int) = 1

select case when true then 1 else f2(a) end from e

select case when a > 100 then f2(a) else 1 end from t

select coalesce(1, f2(a)) from t

select 1 from (select f2(a) from e) q

select * from (select f2(a) from e offset 0) q

with w as (select f2(a) from e) select 1 from w

with w as (select f2(a) from e) select 1

insert into e select f2(a), 1 from e

insert into e(a) values (f2(1))

update e set a = f2(a)

update e set a = f2(b) where false

delete from e where f2(a) = 1

insert into e values (1, 1) on conflict do nothing returning f2(a)

delete from e returning f2(a)

prepare p(int) as select f15($1, 0) from e

execute p(1)

prepare p2(int) as select f9($1) from e

execute p2(1); execute p2(2)

prepare p3(int) as select f6(1/$1) from e

execute p3(0); execute p3(1)

create function pl(x int) returns int language plpgsql as 'begin if x > 5 then return f2(x); end if; return f8(x); end'

select pl(1)

select pl(6)

create function pl2(x int) returns int language plpgsql as 'declare y int; begin select f2(a) into y from e; return 1; end'

select pl2(1)

create function sq(x int) returns int language sql as 'select f2(a) from e'

select sq(1)

create function r(x int) returns int language sql as 'select case when x <= 0 then 0 else r(x - 1) + 1 end'

select r(3)

select r(a) from t where a > 0

create or replace function f6(x int) returns int language sql as 'select x + 1'

select f6(a) from t

create or replace function f6(x int) returns int language sql as 'select x + 100'

select f6(a) from t

select f16(a) from t

create or replace function f2(x int) returns int language sql as 'select x'

select f16(a) from t

drop function f2(int)

select f16(a) from t

select f16(a) from e

create table k(a int primary key); insert into k values (1), (2)

create unique index on k(f3(a))

create function i3(x int) returns int language sql immutable as 'select x * 2'

create unique index on k(i3(a))

insert into k values (1) on conflict (i3(a)) do nothing

select * from k where i3(a) = 2

create function n(x int) returns int language sql as 'select null'

create function n2(x int) returns int language sql as 'select ''5'''

create function v(x int) returns void language sql as 'select pg_notify(''a'', ''b'')'

select v(1)

create function v2(x int) returns void language sql as 'select 1/0'

select v2(1)

select v2(a) from e

select v2(a) from t

create function c(x text) returns text language sql as 'select upper(x) || (1/0)::text'

select c('a') from e

select c(a::text) from e

create function d(x date) returns int language sql immutable as 'select extract(year from x)::int'

select d('2020-01-01'), d('2020-01-01'::date + a) from t

create function vc(x varchar) returns varchar(3) language sql as 'select x'

select vc('abcdef'), vc(a::text || 'bcdef') from t

create function un() returns int language sql as 'select 1/0'

select un() from e

create function un2() returns int language sql immutable as 'select 1/0'

select un2() from e

create function un3() returns int language sql immutable as 'select 3'

select un3() from t where un3() = 3

create function ag(x int) returns bigint language sql as 'select count(x)'

select ag(a) from t

create function di(x int) returns int language sql as 'select distinct x + 1/0'

select di(a) from e

select di(a) from t

create function li(x int) returns int language sql as 'select x + 1/0 limit 1'

select li(a) from e

create function ge(x int) returns int language sql as 'select greatest(x, 1/0)'

select ge(a) from e

create function nu(x int) returns int language sql strict as 'select nullif(x, 1/0)'

select nu(a) from e

create function ar(x int) returns int[] language sql as 'select array[x, 1/0]'

select ar(a) from e

create function cu(x int) returns text language sql immutable as 'select current_user::text || x'

select cu(a) is null from t

create function bad(x int) returns int language sql as 'select nosuch(x)'

create index on t(f14(a))

create index on t(f8(a))

create index on t((f8(a) + 1)) where f6(a) > 1

create table g(a int, b int generated always as (f8(a)) stored)

insert into g values (1) returning *

create table g2(a int, b int generated always as (f14(a)) stored)

create table dd(a int default f1(1), b int)

insert into dd(b) select a from e

insert into dd(b) values (1)

insert into dd values (1, 2)

update dd set a = default where false

create function f28(x int) returns int language sql immutable as 'select 10 / x'

select f28(0)

select f28(0) from e

select f28(b) from t

create function f29(x int) returns int language sql immutable as 'select 10 / a from t where a = x'

select f29(0)

select f29(0) from e

select f29(5 - 4)

create index on t(f28(a))

select * from t where f28(a) = 3

select null::int + 3 from t where a = null and f28(b) = 3

select * from t where a < null::int and f28(b) = 3

select f8(f28(3)), f8(f28(a)) from t

create function f30(x int) returns int language plpgsql immutable as 'begin return 10 / x; end'

create function f31(x int) returns int language sql as 'select f30(0) + x'

create function f32(x int) returns int language sql as 'select f31(x)'

select f31(a) from e

select f32(1)

create function f33(i int) returns int language plpgsql stable as 'begin raise notice ''f33 %'', i; return i; end'

create function f34(x int) returns int language sql stable as 'select x + x'

create function f35(x int) returns int language sql stable as 'select x + 1'

select f34(f33(a)) from t

select f35(f33(a)) from t

create function f36(x int) returns int language plpgsql immutable as 'begin raise notice ''f36 %'', x; return x; end'

create function f37() returns int language sql as 'select f36(1); select f36(2)'

select f37()

create function f38(x int) returns int language plpgsql immutable as 'begin return 10 / x; end'

create function f39() returns int language sql as 'select f38(1); select f38(0)'

select f39()

create function f40() returns int language plpgsql as 'begin return f37() + f39(); end'

select f40()

create table plain(a int)

insert into plain values (1), (2)

create function noisy(int) returns bool immutable language plpgsql as $$ begin raise notice 'called'; return true; end $$

select count(*) from (select a from plain) z where noisy(a)

select count(*) from (select distinct a from plain) z where noisy(a)

select count(*) from (select a from plain union all select a from plain) z where noisy(a)
