create table t(id serial primary key, v int, w text);

create function add(a int, b int) returns int language sql as 'select a + b';

select add(1,2), add(1, null);

create function ins(k int) returns int language plpgsql as $$
declare r int; n text := 'x';
begin
  insert into t(v, w) values (k, n || k) returning id into r;
  raise notice 'inserted % as %', k, r;
  if r > 2 then
    raise notice 'big';
  elsif r = 2 then
    raise warning 'two %', found;
  else
    null;
  end if;
  return r;
end$$;

select ins(10);

select ins(20), ins(30);

select * from t;

insert into t(v) values (ins(40));

select id, v, w from t order by id;

select ins(v) from t where id < 3;

select count(*) from t;

create function bad(x int) returns int language plpgsql as $$
begin
  perform 1/x;
  return 5;
end$$;

select bad(1);

select bad(0);

create function bad2(x int) returns int language plpgsql as $$
declare y int;
begin
  y := 1/x;
  return y;
end$$;

select bad2(0);

select bad2(1);

create function bad3(x int) returns int language plpgsql as $$
begin
  return nosuch from nowhere;
end$$;

select bad3(0);

create function bad4(x int) returns int language plpgsql as $$
begin
  insert into nowhere values (x);
end$$;

select bad4(0);

create function noret(x int) returns int language plpgsql as $$
begin
  if x > 1 then return 7; end if;
end$$;

select noret(2), noret(1);

create function exc(x int) returns text language plpgsql as $$
begin
  insert into t(id, v) values (100, x);
  begin
    insert into t(id, v) values (100, x);
    return 'no';
  exception when unique_violation then
    raise notice 'caught: % %', sqlstate, sqlerrm;
    return 'dup';
  end;
end$$;

select exc(1);

select id, v from t where id >= 100;

create function r3(x int) returns void language plpgsql as $$
begin
  raise exception 'no % for %%', x using errcode = '22012', detail = 'det', hint = 'hin';
end$$;

select r3(4);

create function r4() returns void language plpgsql as $$
begin
  raise sqlstate '12345';
end$$;

select r4();

create function r5() returns void language plpgsql as $$
begin
  perform r4();
end$$;

select r5();

create function r6() returns void language plpgsql as $$
begin
  perform r5();
exception when others then
  raise notice 'x %', sqlerrm;
  raise;
end$$;

select r6();

select nosuchf(1);

select add('1', 2);

select add(1.5, 2);

select add(1);

drop function add(int);

drop function add;

drop function if exists add;

drop function if exists add(int, int);

drop function add(int, int);

create function fact(n int) returns int language plpgsql as $$
begin
 if n <= 1 then return 1; end if;
 return n * fact(n - 1);
end$$;

select fact(5), fact(10);

create function lp(n int) returns int language plpgsql as $$
declare i int := 0; s int default 0;
begin
  while i < n loop
    i := i + 1;
    continue when i = 3;
    exit when i > 6;
    s = s + i;
  end loop;
  <<outer>>
  loop
    s := s + 100;
    loop
      exit outer when s > 500;
      exit;
    end loop;
  end loop;
  return s;
end$$;

select lp(4), lp(100);

create function vv(x int) returns int immutable language plpgsql as $$ begin insert into t(v) values (x); return 1; end $$;

select vv(1);

create function s1() returns int language sql as $$ select v from t order by id; $$;

select s1();

create function s2() returns int language sql as $$ select v, w from t $$;

create function s3() returns int language sql as $$ insert into t(v) values (9) $$;

create function s4() returns text language sql as $$ select 5 $$;

create function s5() returns int language sql as $$ select 'x'::text $$;

create function s6() returns void language sql as $$ insert into t(v) values (99); select 1/count(*) from t where id < 0; $$;

select s6();

select s4();

create function s1() returns int language sql as $$ select 1 $$;

create or replace function s1() returns text language sql as $$ select 'a' $$;

create or replace function s1() returns int language sql as $$ select 1 $$;

select s1();

create function l() returns int language foo as $$ $$;

create function l() returns int as $$ $$;

create function syn() returns int language plpgsql as $$ begin retrn 1; end $$;

create function syn() returns int language plpgsql as $$ begin return 1 end $$;

create function syn() returns int language plpgsql as $$ begin x := 1; return 1; end $$;

create function syn() returns int language plpgsql as $$ begin raise notice '% %', 1; return 1; end $$;

create function amb(v int) returns int language plpgsql as $$ begin return (select v from t limit 1); end $$;

select amb(1);

create function amb2(v int) returns int language sql as $$ select v from t where id = 1 $$;

select amb2(77);

create function amb3(v int) returns int language sql as $$ select amb3.v $$;

select amb3(77);

create function st(x int) returns int strict language sql as $$ select 1 $$;

select st(null), st(2);

create function vo() returns void language sql as $$ select 1 $$;

select vo() is null, vo();

create function vo2() returns void language plpgsql as $$ begin end $$;

select vo2() is null, vo2();

create function stt(x int) returns int language plpgsql as $$
declare a int; b text;
begin
  select v, w into strict a, b from t where id = x;
  return a;
end$$;

select stt(1);

select stt(12345);

create function noint(x int) returns int language plpgsql as $$
begin
  select v from t where id = x;
  return 1;
end$$;

select noint(1);
