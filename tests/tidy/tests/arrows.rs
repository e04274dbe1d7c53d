//! Who may import whom. ARCHITECTURE.md draws the same; an arrow that is missing there is a rule.

use skein_tidy::{Manifest, files};

/// Each crate of ours with those of ours that it may depend on.
const ARROWS: [(&str, &[&str]); 20] = [
    ("skein-idl", &[]),
    ("skein-model", &["skein-idl"]),
    ("skein-log", &["skein-model"]),
    ("skein-secrets", &["skein-log", "skein-model"]),
    ("skein-telemetry", &["skein-model"]),
    ("skein-catalog", &["skein-log", "skein-model"]),
    ("skein-core", &["skein-idl", "skein-model"]),
    (
        "skein-runtime",
        &["skein-catalog", "skein-core", "skein-idl", "skein-log", "skein-model", "skein-telemetry"],
    ),
    (
        "skein-gateway",
        &["skein-catalog", "skein-idl", "skein-log", "skein-model", "skein-secrets", "skein-telemetry"],
    ),
    ("skein-protocol", &[]),
    (
        "skein-workers",
        &["skein-idl", "skein-log", "skein-model", "skein-protocol", "skein-secrets", "skein-telemetry"],
    ),
    ("skein-connectors", &["skein-idl", "skein-log", "skein-model"]),
    // Linked into users' programs: no more than what it says to gateway and worker.
    ("skein-task", &["skein-idl", "skein-protocol"]),
    ("skein-bench", &["skein-idl", "skein-model"]),
    (
        "skein",
        &[
            "skein-bench",
            "skein-connectors",
            "skein-gateway",
            "skein-log",
            "skein-model",
            "skein-runtime",
            "skein-secrets",
            "skein-telemetry",
            "skein-workers",
        ],
    ),
    ("skein-decoders", &["skein-gateway", "skein-idl", "skein-model", "skein-workers"]),
    (
        "skein-benches",
        &["skein-core", "skein-idl", "skein-inner", "skein-log", "skein-model", "skein-runtime"],
    ),
    ("skein-inner", &["skein-core", "skein-idl", "skein-model"]),
    ("skein-tidy", &[]),
    ("xtask", &[]),
];

/// Dependencies that have a home: nobody else may name them. Benches compare ours with the raw thing, so they may.
const HOMES: [(&str, &[&str]); 12] = [
    ("ractor", &["skein-runtime"]),
    ("kube", &["skein-runtime"]),
    ("k8s-openapi", &["skein-runtime"]),
    ("tonic-health", &["skein-gateway"]),
    ("tonic-reflection", &["skein-gateway"]),
    ("axum", &["skein-gateway"]),
    ("rusqlite", &["skein-benches", "skein-gateway", "skein-log"]),
    ("chacha20poly1305", &["skein-secrets"]),
    ("async-nats", &["skein-benches", "skein-log"]),
    ("object_store", &["skein-benches", "skein-log"]),
    ("libloading", &["skein-workers"]),
    ("anyhow", &["skein", "skein-bench", "skein-benches", "xtask"]),
];

/// What the core must not be able to reach: the clock of a runtime, chance, the world.
const KEPT_FROM_THE_CORE: [&str; 12] = [
    "async-trait",
    "chrono",
    "fastrand",
    "futures",
    "getrandom",
    "rand",
    "ractor",
    "reqwest",
    "tokio",
    "tonic",
    "tracing",
    "uuid",
];

fn ours(name: &str) -> bool {
    name == "xtask" || name == "skein" || name.starts_with("skein-")
}

#[test]
fn every_crate_imports_only_those_of_ours_that_the_drawing_allows() {
    let mut breaches = Vec::new();
    for manifest in Manifest::all() {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == manifest.name) else {
            breaches
                .push(format!("{}: draw its arrows in ARROWS and in ARCHITECTURE.md first", manifest.name));
            continue;
        };
        for name in manifest.dependencies.iter().chain(&manifest.build_dependencies) {
            if ours(name) && !allowed.contains(&name.as_str()) {
                breaches.push(format!(
                    "{} imports {name}: say it through {} instead, or through the log",
                    manifest.name,
                    if allowed.is_empty() { "nothing of ours".to_owned() } else { allowed.join(" or ") }
                ));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn gateway_actors_and_workers_never_import_each_other_not_even_in_tests() {
    let apart = ["skein-gateway", "skein-runtime", "skein-core", "skein-workers", "skein-connectors"];
    for manifest in Manifest::all().into_iter().filter(|each| apart.contains(&each.name.as_str())) {
        for other in manifest.dependencies.iter().chain(&manifest.dev_dependencies) {
            let actors = ["skein-core", "skein-runtime"];
            let both_actors = actors.contains(&manifest.name.as_str()) && actors.contains(&other.as_str());
            assert!(
                !apart.contains(&other.as_str()) || both_actors,
                "{} imports {other}: they meet only in the log; move the test to deploy/skein or tests/sdk",
                manifest.name
            );
        }
    }
}

#[test]
fn a_dependency_with_a_home_stays_there() {
    for manifest in Manifest::all() {
        for name in manifest.dependencies.iter().chain(&manifest.build_dependencies) {
            if let Some((_, homes)) = HOMES.iter().find(|(home, _)| home == name) {
                assert!(
                    homes.contains(&manifest.name.as_str()),
                    "{} depends on {name}, which belongs to {}: put the code there, behind an interface of ours",
                    manifest.name,
                    homes.join(" and ")
                );
            }
        }
    }
}

#[test]
fn only_the_gateway_serves_grpc() {
    let server = ["tonic::transport::Server", "tonic::service::Routes"];
    for source in files().iter().filter(|source| source.is("rs")) {
        // The connector of the tests serves what engines call.
        let homes = ["gateway", "tests/tidy", "workers/connectors/tests"];
        let home = homes.iter().any(|home| source.path.starts_with(home));
        let text = source.text.as_deref().unwrap_or_default();
        if let Some(word) = server.iter().find(|word| !home && text.contains(**word)) {
            panic!("{} uses {word}: only the gateway answers clients", source.path.display());
        }
    }
}

#[test]
fn the_core_has_no_way_to_a_clock_to_chance_or_to_the_world() {
    for manifest in Manifest::all().into_iter().filter(|each| each.name == "skein-core") {
        for name in manifest.dependencies {
            assert!(
                !KEPT_FROM_THE_CORE.contains(&name.as_str()),
                "skein-core depends on {name}: hand in what it would give as an argument"
            );
        }
    }
    let banned = ["SystemTime::now", "Instant::now", "HashMap", "HashSet", "std::fs", "std::net", "std::env"];
    for source in files().iter().filter(|each| each.is("rs") && each.path.starts_with("actors/core/src")) {
        for (number, line) in source.lines() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(word) = banned.iter().find(|word| code.contains(**word)) {
                panic!(
                    "{}:{number} uses {word}: the core is told the time, keeps an order, and touches nothing",
                    source.path.display()
                );
            }
        }
    }
}

#[test]
fn versions_and_lints_come_from_the_root_manifest() {
    for manifest in Manifest::all() {
        let own = manifest.own_versions();
        assert!(
            own.is_empty(),
            "{} gives a version of its own to {}: put it into [workspace.dependencies], with its reason",
            manifest.name,
            own.join(", ")
        );
        assert!(manifest.shares_lints(), "{} needs [lints] workspace = true", manifest.name);
    }
}
