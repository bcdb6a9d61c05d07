//! Going down an expression to change it. Must never go into another query.

use super::plan::Expr;

/// The expressions right below one, of the same query.
pub fn parts(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::Const(_) | Expr::Param(_) | Expr::Column { .. } => Vec::new(),
        Expr::And(all) | Expr::Or(all) | Expr::Coalesce(all) | Expr::Array(all) => {
            all.iter_mut().collect()
        }
        Expr::Call { args, .. } | Expr::Routine { args, .. } => args.iter_mut().collect(),
        Expr::Record { fields, .. } => fields.iter_mut().map(|(_, field)| field).collect(),
        Expr::Not(inner)
        | Expr::IsNull(inner)
        | Expr::NoneNull(inner)
        | Expr::Is(inner, _)
        | Expr::Counted(_, inner)
        | Expr::Cast { expr: inner, .. } => vec![inner],
        Expr::Compare(_, a, b) | Expr::NotDistinct(a, b) | Expr::Quantified(_, _, a, b) => {
            vec![a, b]
        }
        Expr::CompareRows(_, pairs) => pairs.iter_mut().flat_map(|(a, b)| [a, b]).collect(),
        Expr::Case { whens, otherwise } => {
            let whens = whens.iter_mut().flat_map(|(when, then)| [when, then]);
            whens.chain([&mut **otherwise]).collect()
        }
        Expr::Sub { left, .. } => left.iter_mut().map(|left| &mut **left).collect(),
    }
}
