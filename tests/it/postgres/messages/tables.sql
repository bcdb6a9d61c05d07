create table a(x int, y nosuch);

create table a(x int, x int);

create table a(x int default 'abc');

create table a(x int default nosuch);

create table a(x int default 1 + 'abc');

create table a(x int check (y > 1));

create table a(x int check (x));

create table a(x int, foreign key (zz) references b);

create table a(x int references nosuch);

create table a(x int, y text);

create index on a(nosuch);

create index on a((nosuch + 1));

create index on a(x) where nosuch > 1;

create index on nosuch(x);

alter table a add column x int;

alter table a add column z nosuch;

alter table a drop column zz;

alter table nosuch add column z int;

alter table a alter column x type nosuch;

alter table a alter column x type int using nosuch;

alter table a alter column x type bool;

alter table a alter column zz set default 1;

alter table a alter column x set default 'abc';

alter table a add check (nosuch > 1);

alter table a add foreign key (x) references nosuch;

alter table a rename column zz to yy;

drop table nosuch;

drop index nosuch;

drop sequence nosuch;

create table b as select nosuch from a;

create table b as select x, x from a;

create sequence s increment 0;

create sequence s start abc;

create policy p on nosuch using (true);

create policy p on a using (nosuch > 1);

create table c(x int generated always as (y + 1) stored);

create table c(x int generated always as (nosuch + 1) stored, y int);

grant select on nosuch to public;

truncate nosuch;

lock table nosuch;

begin;

lock table nosuch;

rollback;

create table a(x int);

insert into a values (1, 2, 3);

insert into a(x, zz) values (1, 2);

insert into a(x, x) values (1, 2);

update a set zz = 1;

create table e(x int default random());

create table e2(x int default (select 1));

create table e3(x int check ((select true)));

comment on table nosuch is 'x';

create role m1; create role m2; create role m3

grant m1 to m2

grant m1 to m2, m3

revoke m1 from m2, m3

revoke m1 from m2

grant m1 to m1

grant m1 to public

select pg_advisory_unlock(77)

set client_min_messages = error

select pg_advisory_unlock(77); grant m1 to m2; grant m1 to m2

reset client_min_messages

revoke m1 from m2; drop role m1, m2, m3

create role w1; create role w2; create table warned (a int, gone int, b int); alter table warned drop gone; create sequence counted

grant select on warned to w1; grant usage, update on counted to w1; set role w1

revoke select on warned from w2

revoke all on warned from w1, w2

revoke delete, trigger on warned from public

revoke insert, delete on table warned, warned from w2

grant select on warned to w2

revoke select on sequence counted from w2

revoke usage on sequence counted from w2

revoke all on sequence counted from w2

revoke usage on schema public from w2

reset role; drop table warned; drop sequence counted; drop role w1, w2
