create table t(id int primary key, b text, c int)

create table u(a int, b text)

insert into t values (1,'x',2),(2,null,3)

select current_date()

select current_timestamp()

select 1 = 1 = true

select array[1,2][1]

select position('a','b')

select 2^-2

select public.lower('A')

select 1a

select 0x10

select 1__0

select 1_000

select 1e

select 1e+

select 1.5.3

select 1..2

select $1a

select 'a' 'b'

select 'a' /* x */
 'b'

select E'\u00'

select E'\ud83d'

select E'\xff'

select E'\0'

select U&'!0041' uescape 'ab'

select U&'\00'

select U&"\0041"

select 1 between 0 and 2 between 1 and 2

select 1 < 2 = true

select 1 < 2 < 3

select 1 in ()

select 'a' like 'b' like 'c'

select 1 is distinct from 2 is distinct from 3

select 1 over, 2

select 1 year

select from

select 1,

select 1 from t,

create table select(a int)

create table t1(user int)

create table t1(a int,)

insert into t1 values ()

insert into t1 values (1),

select a ? b : c

select * except (a) from t

select * exclude a from t

from t select 1

select top 1 * from t

select 1 == 1

select 1 <=> 1

select 7 div 2

select 'a' rlike 'b'

select `a`

select x -> x+1

select (x) -> x+1

create or replace table t(a int)

insert overwrite t values (1)

select 1 qualify true

select {'a': 1}

select [1,2]

select 1 |> 2

select distinct

select float(5)

select interval '1' foo bar

select 1+-+1, 3 @ 2, @ -3, @-3, |/4, 4!

select 5 !=-3

select 5 ~-3, 5 #-1

select 5 *-3, 5 %-3, 5 /-3

select cast(1 as text), cast(1 text)

select coalesce(), nullif(1)

select case when true then 1 end, case 1 when 1 then 2 else 3 end, case end

select exists (select 1), exists (1)

select 1 order by 1 union select 2

with a as (select 1), select * from a

table t

selec 1

select 1 fro t

select 1 from t whre a = 1

update t set a = 1, where b = 2

delete t where a = 1

insert t values (1)

drop t

alter table

create tabel t(a int)

grant select on t to

select 1 from t t2 t3

select (1

select 1)

select ((1)

set x =

show

do

select t.nosuch from t

select x.id from t

select id from nosuch

select id from public.nosuch

select id from other.nosuch

select b from t, u

select nosuch(1)

select lower(1)

select lower(1, 2)

select 'a' + 1

select 1 + 'a'

select 1 = 'a'

select 1 || 2

select - 'a'::text

select -b from t

select not 1

select 1 and true

select true or 'x'

select case when 1 then 2 end

select case 1 when 'a' then 2 end

select case when true then 1 else 'a' end

select coalesce(1, 'a')

select coalesce(1, b) from t

select greatest(1, 'x'::text)

select array[1, 'a']

select array[1, b] from t

select 'a'::int

select cast('a' as int)

select int 'a'

select 'x'::uuid

select 'x'::bool

select '{1'::int[]

select '{a}'::int[]

select '1'::nosuch

select cast(1 as nosuch)

select 1::date

select true::date

select now()::int

select id in (1, 'a') from t

select id in ('a') from t

select id in (select b from t) from t

select id in (select a, b from u) from t

select (select a, b from u)

select id = any ('a') from t

select id = any (b) from t

select id = any (array['a']) from t

select id = any (1) from t

select id between 'a' and 2 from t

select b like 1 from t

select 1 like 'a'

select id, count(*) from t

select id from t group by c

select c, id from t group by c

select count(*) from t where count(*) > 1

select count(count(*)) from t

select count(*) from t group by count(*)

select sum(b) from t

select max(id, c) from t

select id from t group by 5

select id from t order by 5

select id from t order by nosuch

select id from t order by 'a'

select id from t group by 'a'

select distinct id from t order by c

select distinct on (c) id from t order by id

select id from t limit 'a'

select id from t limit b

select id from t limit id

select id from t limit 1 = 1

select id from t offset 'x'

select id from t where b

select id from t where 1

select 1 having 1

select id from t union select b from t

select id from t union select 1, 2

select id from t union select 'a'

select id from t intersect select id, b from t

select 1 union select 2 order by nosuch

select 1 as x union select 2 order by x + 1

values (1, 2), (3)

values (1), ('a')

insert into t values (1, 2, 3, 4)

insert into t (id, nosuch) values (1, 2)

insert into t (id, id) values (1, 2)

insert into t (id) values (1, 2)

insert into t (id, b) values (1)

insert into t values ('a')

insert into t (c) values ('a')

insert into t (c) values (true)

insert into t (c) select b from t

insert into t select 1, 2, 'a'

insert into nosuch values (1)

insert into t values (5) returning nosuch

insert into t values (5) on conflict (nosuch) do nothing

insert into t values (5) on conflict (c) do nothing

insert into t values (5) on conflict on constraint nosuch do nothing

insert into t values (5) on conflict do update set c = 1

insert into t values (5) on conflict (id) do update set nosuch = 1

insert into t values (5) on conflict (id) do update set c = excluded.nosuch

insert into t values (5) on conflict (id) do update set c = 'a'

insert into t values (5) on conflict (id) do update set c = b

insert into t values (5) on conflict (id) do update set c = t.b

update t set nosuch = 1

update t set c = 'a'

update t set c = b

update t set c = true

update t set c = 1, c = 2

update t set c = nosuch

update nosuch set c = 1

update t set c = 1 where nosuch

update t set c = 1 from u where b = 'x'

update t set (b, c) = (1)

update t set (b, c) = (1, 2, 3)

update t set (b, c) = (select 1)

update t set c = 1 returning nosuch

update t set t.c = 1

update t set c = count(*)

delete from t where nosuch = 1

delete from nosuch

delete from t using nosuch

delete from t returning nosuch

create table t(a int)

create table v(a int, a text)

create table v(a nosuch)

create table v(a int check (b > 1))

create table v(a int check (a))

create table v(a int default 'x')

create table v(a int default b)

create table v(a int default (select 1))

create table v(a int references nosuch)

create table v(a int references t (nosuch))

create table v(a int references t (c))

create table v(a text references t)

create table v(a int, foreign key (b) references t)

create table v(a int(5))

create table v(a serial default 1)

create index on nosuch (a)

create index on t (nosuch)

create index on t (nosuch(b))

create index on t (lower(id))

create index on t (b) where nosuch

create index on t (b) where c

create index t_pkey on t(b)

alter table t add column id int

alter table t add column d nosuch

alter table t drop column nosuch

alter table t alter column nosuch set not null

alter table t alter column c set default 'a'

alter table t alter column c type nosuch

alter table t alter column b type int

alter table t rename column nosuch to x

alter table t rename column b to c

alter table t add constraint x check (nosuch > 1)

alter table t add primary key (c)

alter table t drop constraint nosuch

alter table nosuch add column x int

alter table t add foreign key (nosuch) references u

drop table nosuch

drop index nosuch

drop sequence nosuch

drop function nosuch()

drop function nosuch

truncate nosuch

lock table nosuch

select 1 from t join u on nosuch

select 1 from t join u on id

select 1 from t join u using (nosuch)

select 1 from t join u using (id)

select 1 from t join t on true

select 1 from t, t

select 1 from t x, u x

select * from (select 1)

select * from (select 1) x(a, b)

select * from t x(a, b, c, d)

select *

select t.* from u

select x.* from t

select 1 from generate_series(1)

with x as (select 1), x as (select 2) select 1

with x(a, b) as (select 1) select 1

with x as (select 1) select * from y

with recursive x as (select 1 union all select 'a' from x) select 1

with x as (insert into t values (9)) select * from x

select id from t for update of nosuch

select count(*) from t for update

select distinct id from t for update

select id from t group by id for update

select id from t for update of u

execute nosuch

execute p

deallocate nosuch

set nosuch to 1

show nosuch

set work_mem to 'x'

set transaction isolation level nosuch

savepoint a

rollback to a

select $1

select interval 'x'

select exists (select nosuch)

select row(1, 2) = row(1)

select (1, 2) = (1, 'a')

select (1, 2) < 3

select (1, 2) in ((1, 2, 3))

select 1 is true

select 'a' is true

select 1 is distinct from 'a'

select 10000000000000000000000::int

select 1/0

select 32768::smallint

select "ID" from t

select t.id.x from t

select other.t.id from public.t

grant select on nosuch to public

grant select on t to nosuch

create policy p on nosuch

create policy p on t using (nosuch)

create policy p on t using (1)

select sum(distinct) from t

select count() from t

select count(distinct *) from t

select lower(distinct 'A')

select lower('A' order by 1)

select lower('a') filter (where true)

select public.lower('A'), 1

select public.nosuch()

select E'\ud83d', 1

select E'\ud83dxyz\n', 1

select E'\ud83d\n', 1

select E'\udc00', 1

select distinct b from t for update

select id from t for update of x

values (1,2), (3)

drop function f()

lock table t in share mode

select * from t join u using (b) where t.b is null

select * from (t)

update t set (b, c) = ('q', 9) where id = 1

update t set (b, c) = (select 'q', 9) where id = 1 returning *

update t set b = default

update t as x set c = 1 from u where u.a = x.id

update only t set c = 1

insert into t as x (id) values (50) on conflict (id) do update set c = x.c + 1 where x.id > 0 returning id

insert into t default values

insert into t (id, b) select 7, 'z'

insert into t(id, id) values (1,2)

select 'abc

select "abc

select $x$abc

select /* abc

select e'abc\

select u&'abc

select b'101

select x'1f

select $1abc

select 1 /* /* */

select U&'\0041' uescape 1

select 'a' 'b'

select e'a' 'b'

select 'a' || e'\ud83d'

select 1; select 2 fro; select 3 from

select 1;; selec

select (1

insert into t values (1

select 1 from t where

create table x(a int

select 1 = 1 = 1

select 1 <
2 <
3

select 'é' fro m x

select 1 is distinct from 2 is distinct from 3

select 'a' like 'b' not like 'c'

select 1 between 2 and 3 between 4 and 5

select * from t limit 1, 2

alter table t [ add column

alter table [

alter table t [1]

alter table t [ a ] add column x int

alter table t[1:2] add column x int

alter table t[1].b add column x int

alter table t[:] add column x int

alter table only t[1] add column x int

alter table only (t[1]) add column x int

select * from t[1]

select * from t[1] x

select * from t[a b]

insert into t[1] values (1)

insert into t[ values (1)

update t[1] set a = 1

update t[1]

delete from t[1] where a = 1

lock table t[1]

lock table t[1] in share mode

truncate t[1]

truncate t[1], t

create table u[1] (a int)

create table u (a int references t[1])

create table u (a int references t[1] (a))

drop table t[1]

grant select on t[1] to x

vacuum t[1]

create index on t[1] (a)

select * from t[1+

select * from t.a[1]
