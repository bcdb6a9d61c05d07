select ''::jsonb

select ''::json

select '{'::jsonb

select '{'::json

select '['::jsonb

select '['::json

select '[1,'::jsonb

select '[1,'::json

select '{"a"'::jsonb

select '{"a"'::json

select '{"a":'::jsonb

select '{"a":'::json

select '{"a":1'::jsonb

select '{"a":1'::json

select '{"a":1,'::jsonb

select '{"a":1,'::json

select '{a:1}'::jsonb

select '{a:1}'::json

select '{''a'':1}'::jsonb

select '{''a'':1}'::json

select '{"a" 1}'::jsonb

select '{"a" 1}'::json

select '{"a":1 "b":2}'::jsonb

select '{"a":1 "b":2}'::json

select '[1 2]'::jsonb

select '[1 2]'::json

select '[1,]'::jsonb

select '[1,]'::json

select '[,1]'::jsonb

select '[,1]'::json

select '{,}'::jsonb

select '{,}'::json

select '{"a":1,}'::jsonb

select '{"a":1,}'::json

select '{"a":1}}'::jsonb

select '{"a":1}}'::json

select '[]]'::jsonb

select '[]]'::json

select '1 2'::jsonb

select '1 2'::json

select 'nul'::jsonb

select 'nul'::json

select 'nulll'::jsonb

select 'nulll'::json

select 'truE'::jsonb

select 'truE'::json

select 'tru'::jsonb

select 'tru'::json

select 'falsey'::jsonb

select 'falsey'::json

select '-'::jsonb

select '-'::json

select '-x'::jsonb

select '-x'::json

select '01'::jsonb

select '01'::json

select '1.'::jsonb

select '1.'::json

select '1.e5'::jsonb

select '1.e5'::json

select '1e'::jsonb

select '1e'::json

select '1e+'::jsonb

select '1e+'::json

select '1a'::jsonb

select '1a'::json

select '-0x'::jsonb

select '-0x'::json

select '1.5.2'::jsonb

select '1.5.2'::json

select '"abc'::jsonb

select '"abc'::json

select '"a\'::jsonb

select '"a\'::json

select '"a\q"'::jsonb

select '"a\q"'::json

select '"a\é"'::jsonb

select '"a\é"'::json

select '"\u12"'::jsonb

select '"\u12"'::json

select '"\u12'::jsonb

select '"\u12'::json

select '"\u12g4"'::jsonb

select '"\u12g4"'::json

select '"\ud83d"'::jsonb

select '"\ud83d'::jsonb

select '"\ud83d\'::jsonb

select '"\ud83dx"'::jsonb

select '"\ud83d\n"'::jsonb

select '"\ud83d\ud83d"'::jsonb

select '"\ud83d\u0041"'::jsonb

select '"\ude00"'::jsonb

select '"\ud83d\ude0"'::jsonb

select '"\ud83d\ude00"'::jsonb

select '"\u0000"'::jsonb

select '"a	b"'::jsonb

select '"a	b"'::json

select '"a
b"'::jsonb

select '"a
b"'::json

select '"\ud83d	"'::jsonb

select '.'::jsonb

select '.'::json

select 'é'::jsonb

select 'é'::json

select '€'::jsonb

select '€'::json

select '{"k": €}'::jsonb

select '{"k": €}'::json

select '[1,
 2,
 x]'::jsonb

select '[1,
 2,
 x]'::json

select '[1,
 "abc
"]'::jsonb

select '[1,
 "abc
"]'::json

select '{"long": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", x}'::jsonb

select '{"long": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", x}'::json

select '["éééééééééééééééééééééééééééééééééééééééé", x, 1]'::jsonb

select '["éééééééééééééééééééééééééééééééééééééééé", x, 1]'::json

select '{"a":[1,{"b":[}]}'::jsonb

select '{"a":[1,{"b":[}]}'::json

select '"x"y'::jsonb

select '"x"y'::json

select '{"a":1]'::jsonb

select '{"a":1]'::json

select '[1}'::jsonb

select '[1}'::json

select '@'::jsonb

select '@'::json

select '[@]'::jsonb

select '[@]'::json

select 'null,'::jsonb

select 'null,'::json

select '{"a"::1}'::jsonb

select '{"a"::1}'::json

select '{"a":1,,}'::jsonb

select '{"a":1,,}'::json

select '{"a":{"b":{"c":}}}'::jsonb

select '{"a":{"b":{"c":}}}'::json

select '{1:2}'::jsonb

select '{1:2}'::json

select '{null:1}'::jsonb

select '{null:1}'::json

select '[true false]'::jsonb

select '[true false]'::json
