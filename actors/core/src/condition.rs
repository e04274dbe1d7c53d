//! Which case of a branch holds (contract 5.4).

use skein_idl::flyteidl::core::comparison_expression::Operator;
use skein_idl::flyteidl::core::conjunction_expression::LogicalOperator;
use skein_idl::flyteidl::core::{
    BooleanExpression, ComparisonExpression, Literal, Operand, Primitive, Scalar, boolean_expression,
    literal, operand, primitive, scalar,
};
use std::cmp::Ordering;

/// How deeply conditions may be nested in each other; the compiler refuses more.
const DEPTH_MAX: usize = 100;

/// A condition that cannot be answered, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unanswerable(String);

/// Says whether a condition holds. `input` answers the inputs of the branch by their names.
///
/// # Errors
/// [`Unanswerable`] when it compares values that have no order among each other, or an input that is not there.
pub fn holds(
    condition: &BooleanExpression,
    input: &dyn Fn(&str) -> Option<Literal>,
) -> Result<bool, Unanswerable> {
    evaluate(condition, input, 0)
}

fn evaluate(
    condition: &BooleanExpression,
    input: &dyn Fn(&str) -> Option<Literal>,
    depth: usize,
) -> Result<bool, Unanswerable> {
    if depth > DEPTH_MAX {
        return Err(Unanswerable(format!("conditions are nested more than {DEPTH_MAX} deep")));
    }
    match &condition.expr {
        Some(boolean_expression::Expr::Comparison(comparison)) => compare(comparison, input),
        Some(boolean_expression::Expr::Conjunction(both)) => {
            let side = |side: &Option<Box<BooleanExpression>>| match side {
                Some(side) => evaluate(side, input, depth + 1),
                None => Err(Unanswerable("a side of a condition is missing".to_owned())),
            };
            let left = side(&both.left_expression)?;
            match both.operator() {
                LogicalOperator::And if !left => Ok(false),
                LogicalOperator::Or if left => Ok(true),
                LogicalOperator::And | LogicalOperator::Or => side(&both.right_expression),
            }
        }
        None => Err(Unanswerable("a condition is empty".to_owned())),
    }
}

/// A value that can be compared. Times and durations are compared by whole seconds, as the original does.
#[derive(Debug, PartialEq, PartialOrd)]
enum Value {
    None,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Time(i64),
    Duration(i64),
}

impl Value {
    const fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Text(_) => "a string",
            Self::Time(_) => "a datetime",
            Self::Duration(_) => "a duration",
        }
    }
}

fn compare(
    comparison: &ComparisonExpression,
    input: &dyn Fn(&str) -> Option<Literal>,
) -> Result<bool, Unanswerable> {
    let left = operand(comparison.left_value.as_ref(), input)?;
    let right = operand(comparison.right_value.as_ref(), input)?;
    let operator = comparison.operator();
    let is_same_kind = std::mem::discriminant(&left) == std::mem::discriminant(&right);
    let has_none = left == Value::None || right == Value::None;
    let is_equality = matches!(operator, Operator::Eq | Operator::Neq);
    // Whether something is none can be asked of anything.
    if is_equality && has_none {
        return Ok((operator == Operator::Eq) == is_same_kind);
    }
    if !is_same_kind {
        let (left, right) = (left.kind(), right.kind());
        return Err(Unanswerable(format!("a condition compares {left} with {right}")));
    }
    if !is_equality && (has_none || matches!(left, Value::Boolean(_))) {
        let (kind, operator) = (left.kind(), operator.as_str_name());
        return Err(Unanswerable(format!("a condition compares {kind} by {operator}, which has no order")));
    }
    // Of a number that is none nothing is true but that it is not equal.
    let Some(order) = left.partial_cmp(&right) else { return Ok(operator == Operator::Neq) };
    Ok(match operator {
        Operator::Eq => order == Ordering::Equal,
        Operator::Neq => order != Ordering::Equal,
        Operator::Gt => order == Ordering::Greater,
        Operator::Gte => order != Ordering::Less,
        Operator::Lt => order == Ordering::Less,
        Operator::Lte => order != Ordering::Greater,
    })
}

fn operand(
    operand: Option<&Operand>,
    input: &dyn Fn(&str) -> Option<Literal>,
) -> Result<Value, Unanswerable> {
    match operand.and_then(|operand| operand.val.as_ref()) {
        Some(operand::Val::Primitive(primitive)) => of_primitive(primitive),
        Some(operand::Val::Scalar(scalar)) => of_scalar(scalar),
        Some(operand::Val::Var(name)) => {
            let value = input(name).ok_or_else(|| Unanswerable(format!("the branch has no input {name}")))?;
            of_literal(&value).map_err(|Unanswerable(fault)| Unanswerable(format!("input {name}: {fault}")))
        }
        None => Err(Unanswerable("a side of a comparison is missing".to_owned())),
    }
}

fn of_literal(value: &Literal) -> Result<Value, Unanswerable> {
    match &value.value {
        Some(literal::Value::Scalar(scalar)) => of_scalar(scalar),
        _ => Err(Unanswerable("only single values can be compared".to_owned())),
    }
}

fn of_scalar(scalar: &Scalar) -> Result<Value, Unanswerable> {
    match &scalar.value {
        Some(scalar::Value::Primitive(primitive)) => of_primitive(primitive),
        Some(scalar::Value::NoneType(_)) => Ok(Value::None),
        // A union in a union is not what any SDK makes.
        Some(scalar::Value::Union(union)) => {
            match union.value.as_ref().and_then(|value| value.value.as_ref()) {
                Some(literal::Value::Scalar(inner))
                    if !matches!(inner.value, Some(scalar::Value::Union(_))) =>
                {
                    of_scalar(inner)
                }
                _ => Err(Unanswerable("only single values can be compared".to_owned())),
            }
        }
        _ => Err(Unanswerable("only plain values can be compared".to_owned())),
    }
}

fn of_primitive(primitive: &Primitive) -> Result<Value, Unanswerable> {
    Ok(match &primitive.value {
        Some(primitive::Value::Integer(value)) => Value::Integer(*value),
        Some(primitive::Value::FloatValue(value)) => Value::Float(*value),
        Some(primitive::Value::StringValue(value)) => Value::Text(value.clone()),
        Some(primitive::Value::Boolean(value)) => Value::Boolean(*value),
        Some(primitive::Value::Datetime(value)) => Value::Time(value.seconds),
        Some(primitive::Value::Duration(value)) => Value::Duration(value.seconds),
        None => return Err(Unanswerable("a value is empty".to_owned())),
    })
}
