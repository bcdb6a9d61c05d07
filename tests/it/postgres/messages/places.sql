drop table if exists t;
create table t(a int, b bigint, s text, f bool, j jsonb)

select array[1, case when true then '1'::text end]

select array[1, coalesce('1'::text)]

select array[1, '1'::text]

select array[1=2, '1'::text]

select array[1=2, case when true then '1'::text end]

select array[1, case 1 when 1 then '1'::text end]

select coalesce(1, case 1 when 1 then '1'::text end)

insert into t(a) values (b)

insert into t(a) values (t.b)

insert into t(a) values ((select b))

insert into t(a) values ((select t.b))

insert into t(a) select b

insert into t(a) select t.b

insert into t(a) select b union select 1

insert into t(a) select b from (select 1) z

insert into t(a) select (select b) from (select 1) z

insert into t(a) select q.b from (select 1) z

insert into t(a) values (1) returning z.b

insert into t(a) values (1) returning (select z.b)

insert into t(a) values (b), (1)

insert into t as q(a) values (b)

insert into t as q(a) values (t.b)

insert into t as q(a) values (q.b)

insert into t(a) with w as (select b) select * from w

with w as (select b) insert into t(a) select 1

insert into t(a) values (c)

insert into t(a) values (1), (c)

insert into t(a) values (1) on conflict (a) do update set a = excluded.c

select 1 from t join (values (b)) z(y) on true

select 1 from t, (values (b)) z(y)

select 1 from (values (b)) z(y), t

select 1 from t, (select b) z

select 1 from t, (select t.b) z

select 1 from t, (select (select t.b)) z

select 1 from t, (select (select b)) z

select 1 from t where a in (select 1 from (values (c)) z(y))

select 1 from t where a in (select 1 from t q, (values (c), (b)) z(y))

update t set a = 1 from (select b) z

delete from t using (select b) z

update t set a = 1 from (values (t.b)) z

select 1 from t, (values (1 + b)) z(y)

select (select 1 from (values (b)) z(y)) from t

drop table if exists t;
create table t(a int, b text)

prepare p(int, timestamp) as select $1, $2

execute p((select 1), null)

execute p(1, (select now()::timestamp))

execute p(1 in (select 1), null)

execute p(exists (select 1), null)

execute p(array(select 1), null)

execute p(1 + sum(1), null)

execute p(sum(x), null)

execute p(1, timestamp '2020-01-01' + 1)

execute p(1, timestamp '2020-01-01x')

execute p(1, timestamp '2020-01-01')

execute p(1 + 'x', null)

execute p(1 + '2', null)

execute p(('3'), null)

execute p(('x'), null)

execute p(timestamp '2024-01-01', null)

execute p( date '2024-01-01' , null)

execute p(1, interval '1 day')

execute p('1'::text, timestamp '2024-01-01')

execute p(1, '1'::int)

execute p(1, cast('1' as int))

execute p(1, (true))

execute p(1, true and false)

execute p(1, - 1)

execute p(true, null)

execute p(a, null)

execute p(nosuch(1), null)

execute p('1'::text, null)

execute p(2.5, null)

execute p(2.5::numeric(3,1), '2020-01-01'::date)

execute p(1/0, null)

execute p(1, coalesce('2020-01-01', null))

execute p(1 = any(select 1), null)

execute p($1, null)

execute p(array[1], null)

alter table t add check (a in (select 1))

alter table t add check (exists (select 1))

alter table t add check (sum(a) > 1)

alter table t add check (sum(c) > 1)

alter table t alter a set default sum(1)

alter table t alter a set default sum(a)

create index on t (sum(a))

create index on t (sum(c))

select sum(a) filter (where sum(a) > 1) from t

select sum(sum(a)) from t

select sum(a + sum(b)) from t

select 1 from t where sum(a) > 1 and c

select 1 from t where c and sum(a) > 1

select 1 from t group by sum(a)

select 1 from t limit sum(1)

select 1 from t limit sum(a)

select a, (select 1 from t q where sum(q.a) > 1) from t

select sum((select sum(q.a) from t q)) from t

select 1 from t where (select sum(q.a) from t q) > 1

select 1 from t where (select sum(q.a) from t q where sum(1) > 1) > 1

select 1 from t join t q on sum(t.a) > 1

select 1 from t, generate_series(1, sum(1))

insert into t values (sum(1))

insert into t values (1) returning sum(a)

update t set a = sum(a)

update t set a = sum(c)

delete from t where sum(a) > 0

select count(*) from t having sum(b) > 1

insert into t(b, a) select 1, 'a'::text

insert into t(b, a) select array[1], 'a'::text

select (date '2020-01-01')::int[]

select (date '2020-01-01')::int[], '1'::int

select (timestamp '2020-01-01')::int[]

select (cast('2020-01-01' as date))::int[]

select (1 = 2)::date

select (1 = any('{1}'))::date

select (now())::int

select (coalesce(1,2))::date

select (coalesce(1,2::int))::date

select (array[1,2])::date

select (array[1,2::int])::date

select (case when true then 1 end)::date

select (a is null)::date from (select 1 a) x

select (a in (1,2))::date from (select 1 a) x

select (interval '1 day')::date

select (extract(day from now()))::date

select (substr('x',1,2))::bool::date

select (not true)::date

select ((select 1))::date

select (select 1)::date

select (exists (select 1))::date

select true union select (select 'x'::text)

select true union select ((select 'x'::text))

select true union select ('x'::text)

select true union select (('x'::text))

select true union select not 1

select true union select -1

select true union select - (1)

select true union select (1) + 2

select true union select (now())

select true union select case when true then 1 end

select true union select (case when true then 1 end)

select true union select exists (select 1) union select 1

select true union select array[1]

select true union select (array[1])

select true union select row(1)

select true union select (1,2)

select true union select interval '1'

select true union select substr('x',1)

select true union select coalesce(1,2)

select true union select extract(day from now())

select true union select trim('x')

select true union select position('x' in 'y')

select true union select 1 is distinct from 2 union select 3

select 1, true union select 1, date '2020-01-01'

select 1, true union select 1, null::int

insert into z select 1

drop table if exists z;
create table z(a bool)

insert into z select (select 1)

insert into z select ((1))

insert into z select array[1]

insert into z select coalesce(1)

insert into z select substr('x',1)

insert into z select case when true then 1 end

insert into z select interval '1'

insert into z select date '2020-01-01'

insert into z select (date '2020-01-01')

insert into z select row(1)

insert into z select (1,2)

insert into z values ((date '2020-01-01'))

insert into z values ((select 1))

insert into z values (array[1])

insert into z values (case when true then 1 end)

insert into z values (substr('x',1))

insert into z values (coalesce(1))

insert into z values (extract(day from now()))

insert into z values ((1,2))

insert into z values (row(1))

update z set a = (select 1)

update z set a = (1)

update z set a = case when true then 1 end

update z set a = extract(day from now())

update z set a = row(1)

select 1 where case when true then 1 end

select 1 where (select 1)

select 1 where extract(day from now())

select 1 where substr('x',1)

select 1 where row(1)

select 1 where trim('x')

select 1 where position('x' in 'y')

select 1 where interval '1'

select 1 where date '2020-01-01' + 1

select 1 where not date '2020-01-01' + 1

select 1 where current_date

select 1 where current_timestamp

select 1 where cast(1 as int)

select 1 where 1::int

select 1 where (1)::int

select 1 where (array[1])[1]

select 1 where array(select 1)

select 1 where greatest(1,2)

select 1 where nullif(1,2)

select 1 where 'x' || 'y'

select 1 where 'x'::text || 'y'

select 1 where 'x' collate "C"

select 1 where now() at time zone 'utc'

select 1 where ceil(1.5)

select 1 where floor(1.5)

select ((1::text::int)::date)

select (true::int[])::date

select (array[1])::date

select (1::bigint)::date

select not ((select date '2020-01-01'))

select not (select date '2020-01-01')

select ((select 'x')) and true

select ((select 'x'::text)) and true

select case (1 between 1 and 1) when 1 then 2 end

select case 1 when 'x'::text then 2 end

select case 1 + 1 when 'x'::text then 2 end

select case 1::int when 'x'::text then 2 end

select array[1 = a, case '1' when '2'::text then '1'::text end] from t

select array[1 = 2, case when true then '1'::text end]

select coalesce(1, case when true then '1'::text end)

select (greatest(1, 2)) is distinct from (substr(array[1], 2.5))

select 1 = (substr(array[1], 2.5))

select 1 where (select case s when j then s end from t)

select 1 + substr(array[1], 2.5) from t

select 1 is distinct from substr(array[1], 2.5) from t

select case when true then 1 else true end is null

select 1 where true is distinct from case when true then 1 else true end

create table accounts(id int, balance int, owner text, created_at timestamp)

create table owners(id int, name text, created timestamp)

select balanc from accounts

select blance from accounts

select ide from accounts

select created from accounts

select creatd_at from accounts a

select accounts.balanc from accounts

select a.balanc from accounts a

select account.balance from accounts

select accounts.balance from accounts a

select nam from accounts, owners

select creates from accounts, owners

select created_a from accounts join owners using (id)

select i from accounts

select ix from accounts, owners

select xx from accounts

select idd from accounts, owners, owners o

insert into accounts(id) values (ids)

insert into accounts(balanc) values (1)

insert into accounts(id) select balances from accounts

update accounts set balanc = 1

update accounts set balance = balanced

delete from accounts where owne = 'x'

select (select balanc) from accounts

select 1 from accounts where id in (select idx from owners)

select id from accounts order by balanc

select id from accounts group by balanc

select count(*) from accounts having balanc > 1

alter table accounts add check (balanc > 0)

create index on accounts(balanc)

create index on accounts((balanc + 1))

create unique index on accounts(id)

insert into accounts values (1) on conflict (ids) do nothing

insert into accounts values (1) on conflict (id) do update set balance = excluded.balanc

insert into accounts values (1) on conflict (id) do update set balance = exclude.balance

insert into accounts values (1) returning balanc

with w as (select 1 as amount) select amont from w

select amont from (select 1 as amount) z

select z.amont from (select 1 as amount) z

select zz.amount from (select 1 as amount) z

select amont from generate_series(1,2) amount

select column3 from (values (1,2)) v

select balanc from accounts union select 1

select id from accounts union select balanc from owners

select id as balance from owners union select balanc from owners

select balance from owners

select accounts.balance from owners

select aaaaaaa from accounts

select "Balance" from accounts

select balan_é from accounts

select a.bal from accounts a, accounts b

select b.balanc from accounts a, accounts b

select c.balance from accounts a, accounts b

select aa.balance from accounts a, accounts b

select 1 from accounts a join owners b on a.idd = b.id

select 1 from accounts a join owners b on a.id = b.idd join owners c on c.namee = 'x'

select 1 from accounts a, lateral (select balanc) z

select 1 from accounts a, (select balanc) z

update accounts a set id = 1 from owners o where o.namw = 'x'

delete from accounts using owners where nme = 'x'

create policy p on accounts using (balanc > 0)

create function f(x int) returns int language sql as 'select xx'

create function f(x int) returns int language sql as 'select balanc from accounts'

prepare taken as select 1

prepare taken as select nothing

prepare taken (nothing) as select 1

prepare taken (int, nothing) as select $1

prepare taken as select 2

deallocate taken
