//! Checks branches: their conditions, their inner nodes, and what all of those give.

use super::NODE_DEPTH_MAX;
use super::bind::{Bound, Outputs, Scope};
use super::catalog::Catalog;
use super::errors::{Code, Collector, Site};
use super::interface::Types;
use super::nodes::inner_nodes_mut;
use super::workflow::check_node;
use crate::types::{describe, is_none};
use skein_idl::flyteidl::core::comparison_expression::Operator;
use skein_idl::flyteidl::core::literal_type::Type;
use skein_idl::flyteidl::core::{
    BooleanExpression, BranchNode, ComparisonExpression, IfBlock, LiteralType, Operand, SimpleType,
    boolean_expression, operand,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Checks a branch whose conditions see `bound`, and answers what it gives.
pub(super) fn check(
    id: &str,
    branch: &mut BranchNode,
    bound: &Bound,
    scope: &Scope<'_>,
    catalog: &mut Catalog<'_>,
    depth: usize,
    errors: &mut Collector,
) -> Outputs {
    let site = Site::node(id);
    if depth >= NODE_DEPTH_MAX {
        return Outputs::Unknown;
    }
    let Some(blocks) = branch.if_else.as_deref() else {
        errors.add(Code::BranchNodeHasNoCondition, site, "The branch node has no condition.");
        return Outputs::Unknown;
    };
    if blocks.case.is_none() {
        errors.add(Code::BranchNodeHasNoCondition, site, "The branch node has no first case.");
    }
    blocks
        .case
        .iter()
        .map(AsRef::as_ref)
        .chain(&blocks.other)
        .for_each(|block| check_block(block, bound, site, errors));
    if blocks.default.is_none() {
        let description =
            "One of the branches on the node doesn't have a default case: neither a node nor an error.";
        errors.add(Code::BranchNodeHasNoDefault, site, description);
    }
    let given: Vec<Outputs> =
        inner_nodes_mut(branch).map(|inner| check_node(inner, scope, catalog, depth + 1, errors)).collect();
    common(&given)
}

fn check_block(block: &IfBlock, bound: &Bound, site: Site<'_>, errors: &mut Collector) {
    match &block.condition {
        Some(condition) => check_expression(condition, bound, site, 0, errors),
        None => {
            let description = "One of the branches on the node doesn't have a condition.";
            errors.add(Code::BranchNodeHasNoCondition, site, description);
        }
    }
    if block.then_node.is_none() {
        errors.add(
            Code::BranchNodeIdNotFound,
            site,
            "One of the branches on the node doesn't have a node to run.",
        );
    }
}

/// How deeply conditions may be nested in each other.
const EXPRESSION_DEPTH_MAX: usize = 100;

fn check_expression(
    expression: &BooleanExpression,
    bound: &Bound,
    site: Site<'_>,
    depth: usize,
    errors: &mut Collector,
) {
    if depth > EXPRESSION_DEPTH_MAX {
        let description = format!("conditions are nested more than {EXPRESSION_DEPTH_MAX} deep");
        return errors.add(Code::WorkflowBuildError, site, description);
    }
    match &expression.expr {
        None => errors.add(Code::ValueRequired, site, "Value required [BooleanExpression]."),
        Some(boolean_expression::Expr::Comparison(comparison)) => {
            check_comparison(comparison, bound, site, errors);
        }
        Some(boolean_expression::Expr::Conjunction(both)) => {
            for side in [&both.left_expression, &both.right_expression] {
                match side {
                    Some(side) => check_expression(side, bound, site, depth + 1, errors),
                    None => errors.add(Code::ValueRequired, site, "Value required [ConjunctionExpression]."),
                }
            }
        }
    }
}

fn check_comparison(
    comparison: &ComparisonExpression,
    bound: &Bound,
    site: Site<'_>,
    errors: &mut Collector,
) {
    let left = check_operand("LeftValue", comparison.left_value.as_ref(), bound, site, errors);
    let right = check_operand("RightValue", comparison.right_value.as_ref(), bound, site, errors);
    let kinds = (
        left.and_then(|left| kind_of(left, site, errors)),
        right.and_then(|right| kind_of(right, site, errors)),
    );
    let (Some(left), Some(right)) = kinds else { return };
    if left != right {
        let (left, right) = (left.as_str_name(), right.as_str_name());
        let description = format!("A condition compares [simple:{left}] with [simple:{right}].");
        errors.add(Code::MismatchingTypes, site, description);
    } else if left == SimpleType::Boolean && !matches!(comparison.operator(), Operator::Eq | Operator::Neq) {
        let operator = comparison.operator().as_str_name();
        let description = format!("Invalid value [Operator]: truth values cannot be compared by {operator}.");
        errors.add(Code::InvalidValue, site, description);
    }
}

/// Answers the type of an operand; none when it cannot be told.
fn check_operand(
    side: &str,
    operand: Option<&Operand>,
    bound: &Bound,
    site: Site<'_>,
    errors: &mut Collector,
) -> Option<LiteralType> {
    match operand.and_then(|operand| operand.val.as_ref()) {
        Some(operand::Val::Primitive(primitive)) => {
            let value = skein_idl::flyteidl::core::scalar::Value::Primitive(primitive.clone());
            let constant = skein_idl::flyteidl::core::Scalar { value: Some(value) };
            Some(crate::types::type_of_constant(&constant))
        }
        Some(operand::Val::Scalar(constant)) => Some(crate::types::type_of_constant(constant)),
        Some(operand::Val::Var(var)) => match bound.get(var) {
            Some(own) => own.clone(),
            None => {
                let description = format!("Variable [{var}] not found on node [{}].", site.node);
                errors.add(Code::VariableNameNotFound, site.variable(var), description);
                None
            }
        },
        None => {
            errors.add(Code::ValueRequired, site, format!("Value required [{side}.Primitive|Scalar|Var]."));
            None
        }
    }
}

/// Answers what an operand is compared as; none when a value will tell, as with optional ones.
fn kind_of(operand: LiteralType, site: Site<'_>, errors: &mut Collector) -> Option<SimpleType> {
    match &operand.r#type {
        Some(Type::UnionType(_)) => None,
        Some(Type::EnumType(_)) => Some(SimpleType::String),
        Some(Type::Simple(_)) if is_none(&operand) => None,
        Some(Type::Simple(number)) => match SimpleType::try_from(*number) {
            Ok(
                simple @ (SimpleType::Integer
                | SimpleType::Float
                | SimpleType::String
                | SimpleType::Boolean
                | SimpleType::Datetime
                | SimpleType::Duration),
            ) => Some(simple),
            _ => incomparable(&operand, site, errors),
        },
        _ => incomparable(&operand, site, errors),
    }
}

fn incomparable(operand: &LiteralType, site: Site<'_>, errors: &mut Collector) -> Option<SimpleType> {
    let description =
        format!("A condition compares a value of type [{}], which has no order.", describe(operand));
    errors.add(Code::MismatchingTypes, site, description);
    None
}

/// Answers the outputs that all cases give with one type.
fn common(given: &[Outputs]) -> Outputs {
    let mut known = Vec::with_capacity(given.len());
    for outputs in given {
        match outputs {
            Outputs::Unknown => return Outputs::Unknown,
            Outputs::Known { types, disputed } => known.push((types, disputed)),
        }
    }
    let Some((first, _)) = known.first() else { return Outputs::of(Arc::new(Types::new())) };
    let (mut types, mut disputed) = (Types::new(), BTreeSet::new());
    let names: BTreeSet<&String> =
        known.iter().flat_map(|(types, disputed)| types.keys().chain(*disputed)).collect();
    for name in names {
        if !known.iter().all(|(types, disputed)| types.contains_key(name) || disputed.contains(name)) {
            continue;
        }
        match first.get(name) {
            Some(own)
                if known.iter().all(|(types, _)| types.get(name).is_some_and(|other| same(own, other))) =>
            {
                types.insert(name.clone(), own.clone());
            }
            _ => drop(disputed.insert(name.clone())),
        }
    }
    Outputs::Known { types: Arc::new(types), disputed }
}

/// Says whether two types are one, whatever is noted on them.
fn same(left: &LiteralType, right: &LiteralType) -> bool {
    left.r#type == right.r#type
}
