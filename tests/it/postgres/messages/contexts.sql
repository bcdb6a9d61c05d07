create table t (a int primary key, b int not null);

create function f() returns int language plpgsql as $$
declare x int;
begin
  x := 1/0;
  return x;
end $$;

select f();

create function f1() returns int language plpgsql as $$
declare x int := 1/0;
begin
  return x;
end $$;

select f1();

create function f2() returns int language plpgsql as $$
declare x int;
begin
  x := (select a from t where a = 1/0);
  x := 'abc';
  return x;
end $$;

select f2();

create function f3() returns int language plpgsql as $$
declare x int;
begin
  x := 'abc';
  return x;
end $$;

select f3();

create function f4() returns int language plpgsql as $$
declare x varchar(2);
begin
  x := 'abc';
  return x;
end $$;

select f4();

create function f5() returns int language plpgsql as $$
declare x int;
begin
  x := 'abc'::text;
  return x;
end $$;

select f5();

create function f6() returns int language plpgsql as $$
declare x int;
begin
  x := nosuch(1);
  return x;
end $$;

select f6();

create function f7() returns int language plpgsql as $$
declare x smallint;
begin
  x := 100000;
  return x;
end $$;

select f7();

create function f8() returns smallint language plpgsql as $$
begin
  return 100000;
end $$;

select f8();

create function f9() returns int language plpgsql as $$
declare x int;
begin
  select 'abc' into x;
  return x;
end $$;

select f9();

create function f10() returns int language plpgsql as $$
declare x int;
begin
  insert into t values (1, null);
  return x;
end $$;

select f10();

create function f11() returns int language plpgsql as $$
begin
  if 1/0 = 1 then return 1; end if;
end $$;

select f11();

create function f12() returns int language plpgsql as $$
begin
  if 'abc' then return 1; end if;
end $$;

select f12();

create function f13() returns int language plpgsql as $$
begin
  while 1/0 = 1 loop return 1; end loop;
end $$;

select f13();

create function f14() returns int language plpgsql as $$
begin
  loop exit when 1/0 = 1; end loop;
  return 1;
end $$;

select f14();

create function f15() returns int language plpgsql as $$
begin
  raise notice '%', 1/0;
  return 1;
end $$;

select f15();

create function f16() returns int language plpgsql as $$
begin
  raise exception 'x' using hint = 1/0;
  return 1;
end $$;

select f16();

create function f17() returns int language plpgsql as $$
begin
  perform 1/0;
  return 1;
end $$;

select f17();

create function f18() returns int language plpgsql as $$
begin
  return f();
end $$;

select f18();

create function f19() returns int language plpgsql as $$
declare x int;
begin
  x := f();
  x := f() + 1;
  return x;
end $$;

select f19();

create function f20() returns int language plpgsql as $$
declare x int;
begin
  begin
    x := f();
  exception when division_by_zero then
    x := 1/0;
  end;
  return x;
end $$;

select f20();

create function s1() returns int language sql as $$ select 1/0 $$;

select s1();

create function s2() returns int language sql as $$ select 1; select 1/0 $$;

select s2();

create function s3() returns int language sql as $$ insert into t values (1, null); select 1 $$;

select s3();

create function s7(x int) returns int language sql as $$ select f() $$;

select s7(0);

create function s8(x int) returns int language sql as $$ select f() from t; select f() $$;

select s8(0);

create function s11(x int) returns text language sql as $$ select x::varchar(2) $$;

select s11(100000);

create function s12() returns int language sql as $$ select a from nosuch $$;

create function s13() returns int language sql as $$ select a from t $$;

drop table t;

select s13();

create table t (a int, b int);

select s13();

alter table t drop column a;

select s13();

create function s14() returns int language sql as $$ select 1; select a from t2 $$;

create table t2 (a int);

create function s14() returns int language sql as $$ select 1; select a from t2 $$;

drop table t2;

select s14();

create function p1(x int) returns int language plpgsql as $$ begin return nosuch; end $$;

select p1(1);

create function p2(x int) returns int language plpgsql as $$ begin return 1 from nosuch; end $$;

select p2(1);

create function p3(x int) returns int language plpgsql as $$ begin select 1 from nosuch; return 1; end $$;

select p3(1);

create function p4(x int) returns int language plpgsql as $$ begin insert into t(zz) values (x); return 1; end $$;

select p4(1);

create function p5(x int) returns int language plpgsql as $$ declare y int := nosuch; begin return 1; end $$;

select p5(1);

create function p6(x int) returns int language plpgsql as $$ begin x := 1 +; return 1; end $$;

create function p7(x int) returns int language plpgsql as $$ begin x := sum(1) from nosuch; return 1; end $$;

select p7(1);

create function p8(x int) returns void language plpgsql as $$ begin raise exception 'a %', x using errcode = 'unique_violation', detail = 'd', hint = 'h'; end $$;

select p8(1);

create function p9(x int) returns void language plpgsql as $$ begin perform p8(x); end $$;

select p9(1);

create function p10(x int) returns void language plpgsql as $$ declare y int; begin y := p9(x); end $$;

select p10(1);

create function p11(x int) returns void language plpgsql as $$ begin raise notice 'hello %', x; end $$;

select p11(1);

create function p12(x int) returns void language plpgsql as $$ begin perform p11(x); end $$;

select p12(1);

create function p13(x int) returns void language sql as $$ select p11(x); select 1 $$;

select p13(1);

create function p14(x int) returns void language plpgsql as $$ begin create table t (a int); end $$;

select p14(1);

create function p15(x int) returns int language plpgsql as $$ begin x := 1; if x = 1 then x := 2; end if; end $$;

select p15(1);

create function p16(x int) returns int language plpgsql as $$ begin return; end $$;

create function p18(x int) returns int language plpgsql as $$ begin return x; end; end $$;

create function p19() returns int language plpgsql as $$
declare z constant int := 4;
begin
 z := 5;
 return 1; 
end $$;

create function p20() returns int language plpgsql as $$
begin
 zz := 5;
 return 1; 
end $$;

create function p21() returns int language plpgsql as $$
begin
 begin
 raise exception 'x';
 exception when others then raise;
 end;
end $$;

select p21();

create function p22() returns int language plpgsql as $$
begin
 begin
 raise exception 'x';
 exception when others then raise exception 'again: %', sqlerrm;
 end;
end $$;

select p22();

create function fac(n int) returns int language sql as $$ select case when n < 2 then 1 else n * fac(n - 1) end $$;

select fac(5);

create function g(x int) returns int language sql as 'select $2';

create function g(x int) returns int language sql as 'select 1; select $1 + nosuch';

create function g(x int) returns int language sql as 'select ''a''::text';

create function stab() returns int language sql stable as 'lock table t; select 1';

select stab();

create function stab2() returns int language plpgsql stable as 'begin create table zz(a int); return 1; end';

select stab2();

select x.nosuch(1), 2;

select 1::x.ty;

select * from t, x.t;

select y.t.* from t;

select $1::int + $2::int;

create function q1(x int) returns int language plpgsql as $$ begin raise notice 'q1 %', x; return x; end $$;

create function q2(x int) returns int language sql as $$ select q1(x) $$;

create function q3(x int) returns int language sql as $$ select 1; select q1(x) $$;

create function q4(x int) returns int language plpgsql as $$ declare y int := q2(x); begin y := (select q2(y)); y := q3(y); if q2(y) > 100 then return 1; end if; perform q2(y); return (select q3(x)); end $$;

select q4(1);
