//! Checks what inputs are bound to: that it is there, and that its type fits.

use super::errors::{Code, Collector, Site};
use super::interface::{Input, Interface, Types};
use crate::ids::NodeId;
use crate::types::{
    Cast, DEPTH_MAX, Misfit, castable, collection_of, constant_fits, describe, is_simple, map_of, simple,
    type_of_constant, union_of,
};
use skein_idl::flyteidl::core::literal_type::Type;
use skein_idl::flyteidl::core::{
    Binding, BindingData, LiteralType, OutputReference, PromiseAttribute, Scalar, SimpleType, UnionInfo,
    binding_data, promise_attribute,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What promises can name, and what is known of it.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) inputs: &'a Types,
    pub(super) places: &'a HashMap<String, usize>,
    pub(super) outputs: Vec<Outputs>,
}

/// What is known of a node's outputs.
#[derive(Clone, Debug)]
pub(super) enum Outputs {
    /// Nothing, because an error was found there.
    Unknown,
    /// Their types; and which there would be, if all cases of a branch gave them the same type.
    Known { types: Arc<Types>, disputed: BTreeSet<String> },
}

impl Outputs {
    pub(super) const fn of(types: Arc<Types>) -> Self {
        Self::Known { types, disputed: BTreeSet::new() }
    }
}

/// Types of bound variables by name; none for what cannot be told.
pub(super) type Bound = BTreeMap<String, Option<LiteralType>>;

impl Scope<'_> {
    /// Checks bindings against the inputs they are for, and notes the variants of unions they were checked with.
    pub(super) fn check(
        &self,
        node: &str,
        bindings: &mut [Binding],
        interface: &Interface,
        errors: &mut Collector,
    ) {
        let site = Site::node(node);
        let mut bound = BTreeSet::new();
        for binding in bindings.iter_mut() {
            let at = site.variable(&binding.var);
            let Some(Input { declared, .. }) = interface.inputs.get(&binding.var) else {
                let description = format!("Variable [{}] not found on node [{node}].", binding.var);
                errors.add(Code::VariableNameNotFound, at, description);
                continue;
            };
            note_bound(&mut bound, at, errors);
            match &mut binding.binding {
                None => errors.add(Code::ValueRequired, at, format!("Value required [{}].", binding.var)),
                Some(data) => {
                    self.check_data(data, declared, at, 0, errors);
                    self.choose_variants(data, declared, at, 0, errors);
                }
            }
        }
        let unbound =
            interface.inputs.iter().filter(|(name, input)| input.required && !bound.contains(*name));
        for (name, _) in unbound {
            errors.add(
                Code::ParameterNotBound,
                site.variable(name),
                format!("Parameter not bound [{name}]."),
            );
        }
    }

    /// Answers the types of what is bound, where nothing says what they should be.
    pub(super) fn infer(&self, node: &str, bindings: &[Binding], errors: &mut Collector) -> Bound {
        let mut types = Bound::new();
        let mut bound = BTreeSet::new();
        for binding in bindings {
            let at = Site::node(node).variable(&binding.var);
            note_bound(&mut bound, at, errors);
            let own = match &binding.binding {
                Some(data) => self.type_of(data, at, 0, errors),
                None => {
                    errors.add(Code::ValueRequired, at, format!("Value required [{}].", binding.var));
                    None
                }
            };
            types.insert(binding.var.clone(), own);
        }
        types
    }

    fn check_data(
        &self,
        data: &BindingData,
        declared: &LiteralType,
        at: Site<'_>,
        depth: usize,
        errors: &mut Collector,
    ) {
        if depth > DEPTH_MAX {
            return too_deep(at, errors);
        }
        match (&data.value, &declared.r#type) {
            (None, _) => errors.add(Code::ValueRequired, at, format!("Value required [{}].", at.variable)),
            (Some(binding_data::Value::Scalar(constant)), _) => {
                check_constant(constant, declared, at, errors)
            }
            (Some(binding_data::Value::Promise(promise)), _) => {
                if let Some(found) = self.promised(promise, at, errors) {
                    check_types(&found, declared, at, errors);
                }
            }
            (Some(binding_data::Value::OffloadedMetadata(elsewhere)), _) => {
                check_types(&elsewhere.inferred_type.clone().unwrap_or_default(), declared, at, errors);
            }
            (Some(_), Some(Type::UnionType(union))) => {
                self.check_variants(data, &union.variants, declared, at, depth, errors);
            }
            (Some(binding_data::Value::Collection(elements)), Some(Type::CollectionType(element))) => {
                elements
                    .bindings
                    .iter()
                    .for_each(|data| self.check_data(data, element, at, depth + 1, errors));
            }
            (Some(binding_data::Value::Map(entries)), Some(Type::MapValueType(value))) => {
                entries
                    .bindings
                    .values()
                    .for_each(|data| self.check_data(data, value, at, depth + 1, errors));
            }
            (Some(binding_data::Value::Collection(_)), _) => {
                mismatching_bindings("a list", declared, at, errors)
            }
            (Some(binding_data::Value::Map(_)), _) => mismatching_bindings("a map", declared, at, errors),
        }
    }

    fn check_variants(
        &self,
        data: &BindingData,
        variants: &[LiteralType],
        declared: &LiteralType,
        at: Site<'_>,
        depth: usize,
        errors: &mut Collector,
    ) {
        let mut takers = variants.iter().filter(|variant| self.takes(data, variant, at, depth, errors));
        match (takers.next(), takers.next()) {
            (None, _) => errors.add(
                Code::IncompatibleBindingUnionValue,
                at,
                format!("The value of [{}] fits no variant of [{}].", at.variable, describe(declared)),
            ),
            (Some(_), Some(_)) if !self.is_vague(data, at, depth, errors) => errors.add(
                Code::AmbiguousBindingUnionValue,
                at,
                format!("The value of [{}] fits several variants of [{}].", at.variable, describe(declared)),
            ),
            _ => {}
        }
    }

    fn takes(
        &self,
        data: &BindingData,
        variant: &LiteralType,
        at: Site<'_>,
        depth: usize,
        errors: &Collector,
    ) -> bool {
        let mut tried = errors.scratch();
        self.check_data(data, variant, at, depth + 1, &mut tried);
        tried.is_empty()
    }

    /// Says whether a value holds a promise whose type nobody knows, so that fitting several variants means nothing.
    fn is_vague(&self, data: &BindingData, at: Site<'_>, depth: usize, errors: &Collector) -> bool {
        let mut vague = false;
        super::nodes::promises_in(data, depth, &mut |promise| {
            vague |= self.promised(promise, at, &mut errors.scratch()).is_none();
        });
        vague
    }

    /// Notes on lists and maps which variant of a union they are, so that whoever puts them together can say so.
    fn choose_variants(
        &self,
        data: &mut BindingData,
        declared: &LiteralType,
        at: Site<'_>,
        depth: usize,
        errors: &Collector,
    ) {
        let nested =
            matches!(data.value, Some(binding_data::Value::Collection(_) | binding_data::Value::Map(_)));
        if !nested || depth > DEPTH_MAX {
            return;
        }
        if let Some(Type::UnionType(union)) = &declared.r#type {
            let chosen = union.variants.iter().find(|variant| self.takes(data, variant, at, depth, errors));
            if let Some(variant) = chosen {
                self.choose_variants(data, variant, at, depth + 1, errors);
                data.union = Some(UnionInfo { target_type: Some(variant.clone()) });
            }
            return;
        }
        match (&mut data.value, &declared.r#type) {
            (Some(binding_data::Value::Collection(elements)), Some(Type::CollectionType(element))) => {
                for data in &mut elements.bindings {
                    self.choose_variants(data, element, at, depth + 1, errors);
                }
            }
            (Some(binding_data::Value::Map(entries)), Some(Type::MapValueType(value))) => {
                for data in entries.bindings.values_mut() {
                    self.choose_variants(data, value, at, depth + 1, errors);
                }
            }
            _ => {}
        }
    }

    /// Answers the type of what is bound; none when it cannot be told.
    fn type_of(
        &self,
        data: &BindingData,
        at: Site<'_>,
        depth: usize,
        errors: &mut Collector,
    ) -> Option<LiteralType> {
        if depth > DEPTH_MAX {
            too_deep(at, errors);
            return None;
        }
        let mut common = |values: &mut dyn Iterator<Item = &BindingData>| {
            let mut types: Vec<LiteralType> = Vec::new();
            for value in values {
                let own = self.type_of(value, at, depth + 1, errors)?;
                if !types.contains(&own) {
                    types.push(own);
                }
            }
            Some(match types.len() {
                0 => simple(SimpleType::None),
                1 => types.remove(0),
                _ => union_of(types),
            })
        };
        match &data.value {
            None => {
                errors.add(Code::ValueRequired, at, format!("Value required [{}].", at.variable));
                None
            }
            Some(binding_data::Value::Scalar(constant)) => Some(type_of_constant(constant)),
            Some(binding_data::Value::Promise(promise)) => self.promised(promise, at, errors),
            Some(binding_data::Value::OffloadedMetadata(elsewhere)) => elsewhere.inferred_type.clone(),
            Some(binding_data::Value::Collection(elements)) => {
                common(&mut elements.bindings.iter()).map(collection_of)
            }
            Some(binding_data::Value::Map(entries)) => common(&mut entries.bindings.values()).map(map_of),
        }
    }

    /// Answers the type of what a promise names; none when it cannot be told, or there is no such thing.
    fn promised(
        &self,
        promise: &OutputReference,
        at: Site<'_>,
        errors: &mut Collector,
    ) -> Option<LiteralType> {
        let OutputReference { node_id, var, attr_path } = promise;
        let source = if node_id == NodeId::START {
            self.inputs.get(var)
        } else {
            let Some(&place) = self.places.get(node_id) else {
                errors.add(
                    Code::NodeReferenceNotFound,
                    at,
                    format!("Referenced node [{node_id}] not found."),
                );
                return None;
            };
            match self.outputs.get(place) {
                None | Some(Outputs::Unknown) => return None,
                Some(Outputs::Known { disputed, .. }) if disputed.contains(var) => {
                    let description =
                        format!("The branches of node [{node_id}] give [{var}] different types.");
                    errors.add(Code::MismatchingInterfaces, at, description);
                    return None;
                }
                Some(Outputs::Known { types, .. }) => types.get(var),
            }
        };
        let Some(source) = source else {
            let description = format!("Variable [{var}] not found on node [{node_id}].");
            errors.add(Code::VariableNameNotFound, at, description);
            return None;
        };
        if attr_path.is_empty() {
            return Some(source.clone());
        }
        match part_of(source, attr_path) {
            Ok(part) => part,
            Err((code, description)) => {
                errors.add(code, at, format!("Output [{var}] of node [{node_id}]: {description}."));
                None
            }
        }
    }
}

fn note_bound(bound: &mut BTreeSet<String>, at: Site<'_>, errors: &mut Collector) {
    if !bound.insert(at.variable.to_owned()) {
        let description = format!("Input [{}] is bound more than once.", at.variable);
        errors.add(Code::ParameterBoundMoreThanOnce, at, description);
    }
}

fn too_deep(at: Site<'_>, errors: &mut Collector) {
    let description = format!("The value of [{}] is nested more than {DEPTH_MAX} deep.", at.variable);
    errors.add(Code::WorkflowBuildError, at, description);
}

fn mismatching_bindings(found: &str, declared: &LiteralType, at: Site<'_>, errors: &mut Collector) {
    let description =
        format!("Input [{}] is bound to {found}, its type is [{}].", at.variable, describe(declared));
    errors.add(Code::MismatchingBindings, at, description);
}

fn check_types(found: &LiteralType, declared: &LiteralType, at: Site<'_>, errors: &mut Collector) {
    match castable(found, declared) {
        Cast::Yes => {}
        Cast::No => errors.mismatching_types(at, found, declared),
        Cast::Ambiguous => {
            let (found, declared) = (describe(found), describe(declared));
            let description = format!("[{found}] fits several variants of [{declared}].");
            errors.add(Code::AmbiguousBindingUnionValue, at, description);
        }
    }
}

fn check_constant(constant: &Scalar, declared: &LiteralType, at: Site<'_>, errors: &mut Collector) {
    let Err(misfit) = constant_fits(constant, declared) else { return };
    let found = type_of_constant(constant);
    let code = match &misfit {
        _ if found.r#type.is_none() => Code::InvalidLiteralType,
        Misfit::EnumValue { .. } => Code::IllegalEnumValue,
        Misfit::Ambiguous { .. } => Code::AmbiguousBindingUnionValue,
        Misfit::Type { .. } if matches!(declared.r#type, Some(Type::UnionType(_))) => {
            Code::IncompatibleBindingUnionValue
        }
        Misfit::Type { .. } => return errors.mismatching_types(at, &found, declared),
    };
    errors.add(code, at, format!("The constant bound to [{}]: {misfit}.", at.variable));
}

/// Answers the type of a part; none when the type does not tell what parts there are.
fn part_of(whole: &LiteralType, path: &[PromiseAttribute]) -> Result<Option<LiteralType>, (Code, String)> {
    let mut current = whole;
    for step in path {
        let text = crate::bindings::path_text(std::slice::from_ref(step));
        let missing = || (Code::FieldNotFound, format!("there is no [{text}] in [{}]", describe(current)));
        let step = step.value.as_ref().ok_or_else(|| {
            (Code::SyntaxError, "a step of an attribute path has neither a name nor an index".to_owned())
        })?;
        current = match (&current.r#type, step) {
            (Some(Type::CollectionType(element)), promise_attribute::Value::IntValue(index))
                if *index >= 0 =>
            {
                element
            }
            (Some(Type::MapValueType(value)), promise_attribute::Value::StringValue(_)) => value,
            (Some(Type::Simple(_)), _) if is_simple(current, SimpleType::Struct) => {
                match (fields_of(current), step) {
                    (None, _) => return Ok(None),
                    (Some(fields), promise_attribute::Value::StringValue(name)) => {
                        fields.get(name).ok_or_else(missing)?
                    }
                    (Some(_), promise_attribute::Value::IntValue(_)) => return Err(missing()),
                }
            }
            // Which variant there is shows when there is a value.
            (Some(Type::UnionType(_)), _) => return Ok(None),
            _ => return Err(missing()),
        };
    }
    Ok(Some(current.clone()))
}

fn fields_of(dataclass: &LiteralType) -> Option<&BTreeMap<String, LiteralType>> {
    let fields = &dataclass.structure.as_ref()?.dataclass_type;
    (!fields.is_empty()).then_some(fields)
}
