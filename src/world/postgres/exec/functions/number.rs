//! Arithmetic. Must never wrap around: what does not fit is 22003.

use crate::world::postgres::error::{PgError, Result, Step, common};
use crate::world::postgres::exec::Cx;
use crate::world::postgres::sql::Function;
use crate::world::postgres::types::{Base, Datum, Numeric, Ty, in_range, single};

macro_rules! table {
    ($($name:literal [$($arg:ident),*] $ret:ident $run:ident;)*) => {
        pub const TABLE: &[Function] = &[$(Function {
            name: $name, args: &[$(Ty::$arg),*], ret: Ty::$ret, strict: true, variadic: false,
            run: $run,
        }),*];
    };
}

table! {
    "+" [INT2, INT2] INT2 add; "+" [INT4, INT4] INT4 add; "+" [INT8, INT8] INT8 add;
    "+" [NUMERIC, NUMERIC] NUMERIC add; "+" [FLOAT8, FLOAT8] FLOAT8 add;
    "+" [FLOAT4, FLOAT8] FLOAT8 add; "+" [FLOAT8, FLOAT4] FLOAT8 add;
    "+" [FLOAT4, FLOAT4] FLOAT4 add;
    "-" [INT2, INT2] INT2 sub; "-" [INT4, INT4] INT4 sub; "-" [INT8, INT8] INT8 sub;
    "-" [NUMERIC, NUMERIC] NUMERIC sub; "-" [FLOAT8, FLOAT8] FLOAT8 sub;
    "-" [FLOAT4, FLOAT8] FLOAT8 sub; "-" [FLOAT8, FLOAT4] FLOAT8 sub;
    "-" [FLOAT4, FLOAT4] FLOAT4 sub;
    "*" [INT2, INT2] INT2 mul; "*" [INT4, INT4] INT4 mul; "*" [INT8, INT8] INT8 mul;
    "*" [NUMERIC, NUMERIC] NUMERIC mul; "*" [FLOAT8, FLOAT8] FLOAT8 mul;
    "*" [FLOAT4, FLOAT8] FLOAT8 mul; "*" [FLOAT8, FLOAT4] FLOAT8 mul;
    "*" [FLOAT4, FLOAT4] FLOAT4 mul;
    "/" [INT2, INT2] INT2 div; "/" [INT4, INT4] INT4 div; "/" [INT8, INT8] INT8 div;
    "/" [NUMERIC, NUMERIC] NUMERIC div; "/" [FLOAT8, FLOAT8] FLOAT8 div;
    "/" [FLOAT4, FLOAT8] FLOAT8 div; "/" [FLOAT8, FLOAT4] FLOAT8 div;
    "/" [FLOAT4, FLOAT4] FLOAT4 div;
    "%" [INT2, INT2] INT2 rem; "%" [INT4, INT4] INT4 rem; "%" [INT8, INT8] INT8 rem;
    "%" [NUMERIC, NUMERIC] NUMERIC rem;
    "mod" [INT2, INT2] INT2 rem; "mod" [INT4, INT4] INT4 rem;
    "mod" [INT8, INT8] INT8 rem; "mod" [NUMERIC, NUMERIC] NUMERIC rem;
    "-" [INT2] INT2 neg; "-" [INT4] INT4 neg; "-" [INT8] INT8 neg;
    "-" [NUMERIC] NUMERIC neg; "-" [FLOAT8] FLOAT8 neg; "-" [FLOAT4] FLOAT4 neg;
    "abs" [FLOAT8] FLOAT8 abs; "abs" [INT2] INT2 abs;
    "abs" [INT4] INT4 abs; "abs" [INT8] INT8 abs; "abs" [NUMERIC] NUMERIC abs;
    "abs" [FLOAT4] FLOAT4 abs;
    "&" [INT2, INT2] INT2 and; "|" [INT2, INT2] INT2 or; "#" [INT2, INT2] INT2 xor;
    "<<" [INT2, INT4] INT2 shl; ">>" [INT2, INT4] INT2 shr;
    "&" [INT4, INT4] INT4 and; "&" [INT8, INT8] INT8 and;
    "|" [INT4, INT4] INT4 or; "|" [INT8, INT8] INT8 or;
    "#" [INT4, INT4] INT4 xor; "#" [INT8, INT8] INT8 xor;
    "<<" [INT4, INT4] INT4 shl; "<<" [INT8, INT4] INT8 shl;
    ">>" [INT4, INT4] INT4 shr; ">>" [INT8, INT4] INT8 shr;
    "round" [FLOAT8] FLOAT8 round;
    "round" [NUMERIC] NUMERIC round; "round" [NUMERIC, INT4] NUMERIC round;
    "trunc" [FLOAT8] FLOAT8 trunc;
    "trunc" [NUMERIC] NUMERIC trunc; "trunc" [NUMERIC, INT4] NUMERIC trunc;
    "ceil" [FLOAT8] FLOAT8 ceil; "ceil" [NUMERIC] NUMERIC ceil;
    "ceiling" [FLOAT8] FLOAT8 ceil; "ceiling" [NUMERIC] NUMERIC ceil;
    "floor" [FLOAT8] FLOAT8 floor; "floor" [NUMERIC] NUMERIC floor;
    "sign" [FLOAT8] FLOAT8 sign; "sign" [NUMERIC] NUMERIC sign;
    "sqrt" [FLOAT8] FLOAT8 sqrt; "sqrt" [NUMERIC] NUMERIC refuse;
    "^" [FLOAT8, FLOAT8] FLOAT8 power; "^" [NUMERIC, NUMERIC] NUMERIC refuse;
    "power" [FLOAT8, FLOAT8] FLOAT8 power; "power" [NUMERIC, NUMERIC] NUMERIC refuse;
    "pow" [FLOAT8, FLOAT8] FLOAT8 power; "pow" [NUMERIC, NUMERIC] NUMERIC refuse;
}

fn int(number: Option<i64>, ty: Ty) -> Result<Datum> {
    let fits = number.filter(|number| in_range(*number, ty));
    fits.map(Datum::Int).ok_or_else(|| common::out_of_range(&ty.name()))
}

fn float(number: f64, operands_finite: bool) -> Result<Datum> {
    if number.is_infinite() && operands_finite {
        return Err(PgError::new("22003", "value out of range: overflow"));
    }
    Ok(Datum::Float(number))
}

type Ints = fn(i64, i64) -> Option<i64>;
type Numerics = fn(Numeric, Numeric) -> Result<Numeric>;
type Floats = fn(f64, f64) -> f64;

fn binary(
    args: &[Datum],
    types: &[Ty],
    ints: Ints,
    numerics: Numerics,
    floats: Floats,
) -> Step<Datum> {
    Ok(match (&args[0], &args[1]) {
        (Datum::Int(a), Datum::Int(b)) => int(ints(*a, *b), types[0])?,
        (Datum::Numeric(a), Datum::Numeric(b)) => Datum::Numeric(numerics(*a, *b)?),
        (Datum::Float(a), Datum::Float(b)) => {
            let narrow = types.iter().all(|ty| *ty == Ty::FLOAT4);
            let kept = single(floats(*a, *b), if narrow { Ty::FLOAT4 } else { Ty::FLOAT8 });
            float(kept, a.is_finite() && b.is_finite())?
        }
        _ => Datum::Null,
    })
}

fn add(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    binary(args, types, i64::checked_add, Numeric::add, |a, b| a + b)
}

fn sub(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    binary(args, types, i64::checked_sub, Numeric::sub, |a, b| a - b)
}

fn mul(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    let product = binary(args, types, i64::checked_mul, Numeric::mul, |a, b| a * b)?;
    let zero = |datum: &Datum| matches!(datum, Datum::Float(number) if *number == 0.0);
    underflow(product, zero(&args[0]) || zero(&args[1]))
}

/// What is too small for a float8 is no zero.
fn underflow(result: Datum, expected: bool) -> Step<Datum> {
    if matches!(result, Datum::Float(number) if number == 0.0) && !expected {
        return Err(PgError::new("22003", "value out of range: underflow").into());
    }
    Ok(result)
}

fn zero_divisor(args: &[Datum]) -> Result<()> {
    match &args[1] {
        Datum::Int(0) => Err(common::division_by_zero()),
        Datum::Float(number) if *number == 0.0 => match &args[0] {
            Datum::Float(dividend) if dividend.is_nan() => Ok(()),
            _ => Err(common::division_by_zero()),
        },
        _ => Ok(()),
    }
}

fn div(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    zero_divisor(args)?;
    let quotient = binary(args, types, i64::checked_div, Numeric::div, |a, b| a / b)?;
    let expected = match (&args[0], &args[1]) {
        (Datum::Float(a), Datum::Float(b)) => *a == 0.0 || b.is_infinite(),
        _ => true,
    };
    underflow(quotient, expected)
}

fn rem(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    zero_divisor(args)?;
    binary(args, types, |a, b| Some(a.wrapping_rem(b)), Numeric::rem, |a, b| a % b)
}

fn and(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    binary(args, types, |a, b| Some(a & b), Numeric::add, |a, _| a)
}

fn or(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    binary(args, types, |a, b| Some(a | b), Numeric::add, |a, _| a)
}

fn xor(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    binary(args, types, |a, b| Some(a ^ b), Numeric::add, |a, _| a)
}

/// Shifts drop what leaves the type, as in C.
fn shifted(args: &[Datum], ty: Ty, left: bool) -> Datum {
    let (Some(number), Some(by)) = (args[0].as_int(), args[1].as_int()) else {
        return Datum::Null;
    };
    let narrow = ty.base != Base::Int8;
    let by = u32::try_from(by & if narrow { 31 } else { 63 }).unwrap_or(0);
    if !left {
        return Datum::Int(number >> by);
    }
    let wide = number.wrapping_shl(by);
    if !narrow {
        return Datum::Int(wide);
    }
    let bytes = wide.to_le_bytes();
    if ty.base == Base::Int2 {
        return Datum::Int(i64::from(i16::from_le_bytes([bytes[0], bytes[1]])));
    }
    Datum::Int(i64::from(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])))
}

fn shl(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    Ok(shifted(args, types[0], true))
}

fn shr(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    Ok(shifted(args, types[0], false))
}

fn unary(
    args: &[Datum],
    ty: Ty,
    ints: fn(i64) -> Option<i64>,
    numerics: fn(Numeric) -> Result<Numeric>,
    floats: fn(f64) -> f64,
) -> Step<Datum> {
    Ok(match &args[0] {
        Datum::Int(a) => int(ints(*a), ty)?,
        Datum::Numeric(a) => Datum::Numeric(numerics(*a)?),
        Datum::Float(a) => Datum::Float(floats(*a)),
        _ => Datum::Null,
    })
}

fn neg(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    unary(args, types[0], i64::checked_neg, |a| Ok(a.neg()), |a| -a)
}

fn abs(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    unary(args, types[0], i64::checked_abs, |a| Ok(a.abs()), f64::abs)
}

fn round(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    if let (Datum::Numeric(number), Some(Datum::Int(scale))) = (&args[0], args.get(1)) {
        return Ok(Datum::Numeric(number.round_at(*scale)?));
    }
    unary(args, types[0], Some, |a| a.round(0), f64::round_ties_even)
}

fn trunc(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    if let (Datum::Numeric(number), Some(Datum::Int(scale))) = (&args[0], args.get(1)) {
        return Ok(Datum::Numeric(number.trunc_at(*scale)?));
    }
    unary(args, types[0], Some, |a| Ok(a.trunc()), f64::trunc)
}

fn ceil(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    unary(args, types[0], Some, |a| Ok(a.neg().floor().neg()), f64::ceil)
}

fn floor(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    unary(args, types[0], Some, |a| Ok(a.floor()), f64::floor)
}

fn sign(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    let of = |a: Numeric| Ok(Numeric::new(a.mantissa().signum(), 0));
    let of_float = |a: f64| f64::from(i8::from(a > 0.0) - i8::from(a < 0.0));
    unary(args, types[0], Some, of, of_float)
}

/// Roots and powers of numerics have digits that float8 does not give.
fn refuse(_: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    Err(PgError::unsupported("a root or power of a numeric").into())
}

fn sqrt(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    if matches!(args[0], Datum::Float(number) if number < 0.0) {
        return Err(PgError::new("2201F", "cannot take square root of a negative number").into());
    }
    unary(args, types[0], Some, Ok, f64::sqrt)
}

fn power(cx: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    let (Datum::Float(base), Datum::Float(exponent)) = (&args[0], &args[1]) else {
        return refuse(cx, args, types);
    };
    let undefined = if *base == 0.0 && *exponent < 0.0 {
        Some("zero raised to a negative power is undefined")
    } else if *base < 0.0 && exponent.is_finite() && exponent.fract() != 0.0 {
        Some("a negative number raised to a non-integer power yields a complex result")
    } else {
        None
    };
    if let Some(message) = undefined {
        return Err(PgError::new("2201F", message).into());
    }
    let result = binary(args, types, |a, _| Some(a), |a, _| Ok(a), f64::powf)?;
    underflow(result, *base == 0.0 || base.is_infinite() || exponent.is_infinite())
}
