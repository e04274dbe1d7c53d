//! Our descriptors say the same as those of the installed Python packages.
//!
//! Both sides are taken apart into named parts (messages, fields, enums, values, services, methods), each
//! with a line that says all that matters on the wire. Equal names must have equal lines. A part that only
//! we have is an error; a part that only they have is an error too, unless [`LEFT_OUT`] gives a reason.

use std::collections::BTreeMap;
use std::env;
use std::process::Command;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
};
use skein_idl::FILE_DESCRIPTOR_SET;

/// What the packages have and we have not: a reason, and full names. A name stands for all inside it.
const LEFT_OUT: &[(&str, &[&str])] = &[
    (
        "superseded by agents, which are called connectors now",
        &[
            "flyteidl.service.ExternalPluginService",
            "flyteidl.service.State",
            "flyteidl.service.TaskCreateRequest",
            "flyteidl.service.TaskCreateResponse",
            "flyteidl.service.TaskDeleteRequest",
            "flyteidl.service.TaskDeleteResponse",
            "flyteidl.service.TaskGetRequest",
            "flyteidl.service.TaskGetResponse",
        ],
    ),
    ("caches are inside the engine: no SDK asks them", &["datacatalog", "flyteidl.cacheservice"]),
    ("applications are served and scaled by Union's platform, which is not rebuilt here", &["cloudidl.app"]),
    ("workspaces are machines for people, not executions", &["cloudidl.workspace"]),
    ("roles and policies have no command in the SDK", &["cloudidl.authorizer"]),
    (
        "users are managed by the identity provider, and no command asks for them",
        &[
            "cloudidl.identity.CreateUserRequest",
            "cloudidl.identity.CreateUserResponse",
            "cloudidl.identity.DeleteUserRequest",
            "cloudidl.identity.DeleteUserResponse",
            "cloudidl.identity.GetUserAndGroupsForOrgRequest",
            "cloudidl.identity.GetUserAndGroupsForOrgResponse",
            "cloudidl.identity.GetUserRequest",
            "cloudidl.identity.GetUserResponse",
            "cloudidl.identity.ListUsersCountRequest",
            "cloudidl.identity.ListUsersCountResponse",
            "cloudidl.identity.ListUsersRequest",
            "cloudidl.identity.ListUsersResponse",
            "cloudidl.identity.UserService",
        ],
    ),
    ("the client demands TLS for it, and only event listeners use it", &["cloudidl.hooks"]),
    ("images are built on the client's side, by every builder but Union's own", &["cloudidl.imagebuilder"]),
    ("logs are linked to, not streamed", &["cloudidl.logs"]),
    (
        "values live in stores that fsspec reads: nothing here answers union:// paths",
        &["cloudidl.objectstore"],
    ),
    (
        "what only the left-out packages of cloudidl share",
        &[
            "cloudidl.common.Action",
            "cloudidl.common.AppSpec",
            "cloudidl.common.Application",
            "cloudidl.common.ApplicationIdentifier",
            "cloudidl.common.ClusterConfigIdentifier",
            "cloudidl.common.ClusterPoolIdentifier",
            "cloudidl.common.Deployment",
            "cloudidl.common.Domain",
            "cloudidl.common.EnrichedIdentity",
            "cloudidl.common.Identity",
            "cloudidl.common.LaunchPlan",
            "cloudidl.common.ManagedClusterIdentifier",
            "cloudidl.common.OrgIdentifier",
            "cloudidl.common.Organization",
            "cloudidl.common.Permission",
            "cloudidl.common.Policy",
            "cloudidl.common.PolicyBinding",
            "cloudidl.common.PolicyIdentifier",
            "cloudidl.common.Project",
            "cloudidl.common.ProjectIdentifier",
            "cloudidl.common.Resource",
            "cloudidl.common.Role",
            "cloudidl.common.RoleIdentifier",
            "cloudidl.common.RoleSpec",
            "cloudidl.common.RoleType",
            "cloudidl.common.RuntimeMetadata",
            "cloudidl.common.User",
            "cloudidl.common.UserIdentifier",
            "cloudidl.common.UserSpec",
            "cloudidl.common.Workflow",
        ],
    ),
    ("rules for fields: options, which no message carries over the wire", &["validate"]),
];

/// From full names to what stands there on the wire.
type Parts = BTreeMap<String, String>;

#[test]
fn every_definition_is_the_same_as_in_the_installed_packages() {
    let (installed, theirs) = installed_descriptors();
    let mut ours = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("build.rs encoded it");
    // What is in a program alone, and not in a package, is held by the tests with that program.
    ours.file.retain(|file| !file.package().starts_with("google.") && file.package() != "fasttask");

    let differences = compare(&parts(&ours), &parts(&theirs), LEFT_OUT);

    let count = differences.len();
    assert!(differences.is_empty(), "{count} differences from {installed}:\n{}", differences.join("\n"));
}

#[test]
fn a_part_that_differs_is_missing_or_is_invented_is_reported() {
    let ours = Parts::from([part("a.M.same", "1"), part("a.M.changed", "1"), part("a.M.invented", "1")]);
    let theirs = Parts::from([part("a.M.same", "1"), part("a.M.changed", "2"), part("a.M.missing", "1")]);

    assert_eq!(
        compare(&ours, &theirs, &[]),
        [
            "a.M.changed: we have `1`, they have `2`",
            "a.M.invented: we have `1`, they have nothing",
            "a.M.missing: we have nothing, they have `1`",
        ]
    );
}

#[test]
fn a_part_that_is_left_out_is_not_reported_but_a_reason_for_nothing_is() {
    let ours = Parts::from([part("a.M", "message")]);
    let theirs = Parts::from([part("a.M", "message"), part("a.Old.field", "1"), part("a.Older", "message")]);

    assert_eq!(compare(&ours, &theirs, &[("old", &["a.Old", "a.Older"])]), [""; 0]);
    assert_eq!(
        compare(&ours, &theirs, &[("old", &["a.Old", "a.Older", "a.M", "a.O"])]),
        ["a.M: is left out (old), but we have it", "a.O: is left out (old), but they do not have it either"]
    );
}

fn part(name: &str, line: &str) -> (String, String) {
    (name.to_owned(), line.to_owned())
}

/// What is installed for the interpreter that `SKEIN_TEST_PYTHON` names: a line, and the descriptors.
fn installed_descriptors() -> (String, FileDescriptorSet) {
    let python = env::var_os("SKEIN_TEST_PYTHON").expect(
        "run cargo xtask test, or set SKEIN_TEST_PYTHON to a python with flytekit and union installed",
    );
    let dump = Command::new(&python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dump_descriptors.py"))
        .output()
        .expect("SKEIN_TEST_PYTHON must name an interpreter that starts");
    let said = String::from_utf8_lossy(&dump.stderr);
    assert!(dump.status.success(), "{} cannot dump its descriptors:\n{said}", python.display());
    let set =
        FileDescriptorSet::decode(dump.stdout.as_slice()).expect("the script wrote a FileDescriptorSet");
    (said.trim().to_owned(), set)
}

/// Every disagreement, one line each, in the order of names.
fn compare(ours: &Parts, theirs: &Parts, left_out: &[(&str, &[&str])]) -> Vec<String> {
    let left_out: BTreeMap<&str, &str> =
        left_out.iter().flat_map(|(reason, names)| names.iter().map(|name| (*name, *reason))).collect();
    let is_left_out = |part: &str| enclosing(part).any(|name| left_out.contains_key(name));

    let mut lines = Vec::new();
    for (name, line) in ours {
        match theirs.get(name) {
            Some(their_line) if line == their_line => {}
            Some(their_line) => lines.push(format!("{name}: we have `{line}`, they have `{their_line}`")),
            None => lines.push(format!("{name}: we have `{line}`, they have nothing")),
        }
    }
    for (name, line) in theirs {
        if !ours.contains_key(name) && !is_left_out(name) {
            lines.push(format!("{name}: we have nothing, they have `{line}`"));
        }
    }
    for (name, reason) in left_out {
        if ours.keys().any(|part| enclosing(part).any(|outer| outer == name)) {
            lines.push(format!("{name}: is left out ({reason}), but we have it"));
        } else if !theirs.keys().any(|part| enclosing(part).any(|outer| outer == name)) {
            lines.push(format!("{name}: is left out ({reason}), but they do not have it either"));
        }
    }
    lines.sort();
    lines
}

/// A full name and the names of all that it is in: `a.M.f`, `a.M`, `a`.
fn enclosing(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |inner| inner.rsplit_once('.').map(|(outer, _)| outer))
}

fn parts(set: &FileDescriptorSet) -> Parts {
    let mut parts = Parts::new();
    for file in &set.file {
        for message in &file.message_type {
            add_message(&mut parts, file.package(), message);
        }
        for choice in &file.enum_type {
            add_enum(&mut parts, file.package(), choice);
        }
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            parts.extend(service.method.iter().map(|it| (format!("{name}.{}", it.name()), method_line(it))));
            parts.insert(name, "service".to_owned());
        }
    }
    parts
}

fn add_message(parts: &mut Parts, scope: &str, message: &DescriptorProto) {
    let name = format!("{scope}.{}", message.name());
    for field in &message.field {
        parts.insert(format!("{name}.{}", field.name()), field_line(message, field));
    }
    for nested in &message.nested_type {
        add_message(parts, &name, nested);
    }
    for choice in &message.enum_type {
        add_enum(parts, &name, choice);
    }
    let kind = if message.options.as_ref().is_some_and(|options| options.map_entry()) {
        "map entry"
    } else {
        "message"
    };
    let reserved = message.reserved_range.iter().flat_map(|range| range.start()..range.end());
    parts.insert(name, kind.to_owned() + &reserved_line(reserved));
}

fn add_enum(parts: &mut Parts, scope: &str, choice: &EnumDescriptorProto) {
    let name = format!("{scope}.{}", choice.name());
    for value in &choice.value {
        parts.insert(format!("{name}.{}", value.name()), format!("value {}", value.number()));
    }
    // Unlike those of a message, these ranges include their end.
    let reserved = choice.reserved_range.iter().flat_map(|range| range.start()..=range.end());
    parts.insert(name, "enum".to_owned() + &reserved_line(reserved));
}

fn reserved_line(numbers: impl Iterator<Item = i32>) -> String {
    numbers.map(|number| format!(", {number} reserved")).collect()
}

fn field_line(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let label = match field.label() {
        Label::Repeated => "repeated ",
        Label::Required => "required ",
        Label::Optional if field.proto3_optional() => "optional ",
        Label::Optional => "",
    };
    let kind = match field.r#type() {
        Type::Message | Type::Enum => field.type_name().trim_start_matches('.').to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    // An optional field is alone in a oneof that exists only in the descriptor.
    let oneof = match field.oneof_index {
        Some(index) if !field.proto3_optional() => {
            format!(" in {}", usize::try_from(index).map_or("?", |index| message.oneof_decl[index].name()))
        }
        _ => String::new(),
    };
    format!("{label}{kind} = {}{oneof}", field.number())
}

fn method_line(method: &MethodDescriptorProto) -> String {
    let stream = |streams: bool| if streams { "stream " } else { "" };
    format!(
        "{}{} to {}{}",
        stream(method.client_streaming()),
        method.input_type().trim_start_matches('.'),
        stream(method.server_streaming()),
        method.output_type().trim_start_matches('.')
    )
}
