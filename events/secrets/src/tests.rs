//! The secrets of a log, from the first to the last that becomes of them.

use crate::{By, Expect, KeySource, Keys, Vault, VaultError};
use skein_log::EventLog;
use skein_log::memory::MemoryLog;
use skein_model::{SecretId, SecretKind, Timestamp};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

const KIND: SecretKind = SecretKind::Generic;

struct World {
    log: MemoryLog,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { log: MemoryLog::default(), folder: tempfile::tempdir().expect("a folder") }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("secrets.key")
    }

    fn log(&self) -> Arc<dyn EventLog> {
        Arc::new(self.log.clone())
    }

    /// Opens the vault as a server that keeps its key in the data folder does.
    async fn vault(&self) -> Result<Vault, VaultError> {
        Vault::open(self.log(), KeySource::Own(self.file())).await
    }

    async fn with(&self, keys: &str) -> Result<Vault, VaultError> {
        Vault::open(self.log(), variable(keys)).await
    }

    fn keys(&self) -> Keys {
        Keys::parse(&fs::read_to_string(self.file()).expect("it is there")).expect("it is right")
    }
}

fn variable(keys: &str) -> KeySource {
    KeySource::Variable { name: "SKEIN_SECRETS_KEY".to_owned(), text: Zeroizing::new(keys.to_owned()) }
}

fn id(project: &str, domain: &str) -> SecretId {
    SecretId::parse(project, domain, "k").expect("it is right")
}

fn by() -> By {
    By { principal: "somebody".to_owned(), at: Timestamp::from_micros(7), trace: None }
}

async fn create(vault: &Vault, id: &SecretId, value: &str) -> Result<(), VaultError> {
    vault.put(id, KIND, value.as_bytes(), Expect::Absent, &by()).await
}

async fn value(vault: &Vault, id: &SecretId) -> Option<String> {
    let found = vault.find(id).await.expect("it can be read");
    found.map(|found| String::from_utf8(found.value.to_vec()).expect("it is text"))
}

fn key(digit: char) -> String {
    digit.to_string().repeat(64)
}

#[tokio::test]
async fn a_secret_is_created_once_updated_when_it_is_there_and_removed() {
    let world = World::new();
    let vault = world.vault().await.expect("it opens");
    let own = id("p", "d");
    let update = async |value: &str| vault.put(&own, KIND, value.as_bytes(), Expect::Present, &by()).await;
    assert!(matches!(update("early").await, Err(VaultError::Absent(_))));
    create(&vault, &own, "one").await.expect("it is new");
    let again = create(&vault, &own, "two").await.expect_err("it is there").to_string();
    assert_eq!(again, "the secret k of project p and domain d already exists");
    assert_eq!(value(&vault, &own).await.as_deref(), Some("one"));
    update("three").await.expect("it is there");
    assert_eq!(value(&vault, &own).await.as_deref(), Some("three"));
    vault.delete(&own, &by()).await.expect("it is there");
    assert_eq!(value(&vault, &own).await, None);
    assert!(matches!(vault.delete(&own, &by()).await, Err(VaultError::Absent(_))));
    create(&vault, &own, "four").await.expect("the name is free again");
    assert_eq!(value(&vault, &own).await.as_deref(), Some("four"));
}

#[tokio::test]
async fn of_several_that_create_one_secret_exactly_one_does() {
    let world = World::new();
    let vaults = [world.vault().await.expect("it opens"), world.vault().await.expect("it opens")];
    let own = id("", "");
    let tries = vaults.iter().cycle().take(8).map(|vault| create(vault, &own, "one"));
    let ended = futures::future::join_all(tries).await;
    assert_eq!(ended.iter().filter(|ended| ended.is_ok()).count(), 1);
    assert!(ended.iter().all(|ended| matches!(ended, Ok(()) | Err(VaultError::Exists(_)))));
}

#[tokio::test]
async fn the_narrowest_scope_shadows_the_wider_ones() {
    let world = World::new();
    let vault = world.vault().await.expect("it opens");
    for (id, value) in [(id("", ""), "wide"), (id("", "d"), "middle"), (id("p", "d"), "narrow")] {
        create(&vault, &id, value).await.expect("it is new");
    }
    for (project, domain, expected) in
        [("p", "d", "narrow"), ("q", "d", "middle"), ("p", "e", "wide"), ("q", "e", "wide")]
    {
        assert_eq!(value(&vault, &id(project, domain)).await.as_deref(), Some(expected));
    }
    vault.delete(&id("p", "d"), &by()).await.expect("it is there");
    assert_eq!(value(&vault, &id("p", "d")).await.as_deref(), Some("middle"));
}

#[tokio::test]
async fn a_restart_keeps_secrets_and_another_key_is_refused_by_its_setting_until_the_right_one_is_back() {
    let world = World::new();
    create(&world.vault().await.expect("it opens"), &id("", ""), "one").await.expect("it is new");
    assert_eq!(value(&world.vault().await.expect("it opens"), &id("", "")).await.as_deref(), Some("one"));

    let own = fs::read_to_string(world.file()).expect("it is there");
    let refused = world.with(&key('a')).await.expect_err("it is another").to_string();
    let (needs, has) =
        (world.keys().names().remove(0), Keys::parse(&key('a')).expect("right").names().remove(0));
    assert!(
        refused
            .contains(&format!("encrypted by the key {needs}, but the variable SKEIN_SECRETS_KEY has {has}"))
    );
    fs::remove_file(world.file()).expect("it is there");
    let refused = world.vault().await.expect_err("it is gone").to_string();
    assert!(refused.contains(&needs) && refused.contains("secrets.key, and that is gone"), "{refused}");
    assert!(!world.file().exists(), "no other key takes its place");
    assert_eq!(value(&world.with(&own).await.expect("it opens"), &id("", "")).await.as_deref(), Some("one"));
}

#[tokio::test]
async fn before_there_is_a_secret_any_key_is_right() {
    let world = World::new();
    world.vault().await.expect("it opens");
    fs::remove_file(world.file()).expect("it was made");
    world.vault().await.expect("another is made");
    world.with(&key('a')).await.expect("it opens");
}

#[tokio::test]
async fn of_two_rotations_at_once_neither_lets_the_key_of_the_other_go() {
    let world = World::new();
    let vault = world.vault().await.expect("it opens");
    for scope in [id("", ""), id("", "d"), id("p", "d")] {
        create(&vault, &scope, "kept").await.expect("it is new");
    }
    let (one, other) = (by(), by());
    let (one, other) = tokio::join!(vault.rotate(&one), vault.rotate(&other));
    let (one, other) = (one.expect("it rotates"), other.expect("it rotates"));
    assert_eq!(other.released, [one.key], "the second came after the first");
    let again = world.vault().await.expect("it opens");
    for scope in [id("", ""), id("", "d"), id("p", "d")] {
        assert_eq!(value(&again, &scope).await.as_deref(), Some("kept"));
    }
}

#[tokio::test]
async fn a_rotation_encrypts_all_by_a_new_key_and_the_old_one_is_gone_from_the_file() {
    let world = World::new();
    let vault = world.vault().await.expect("it opens");
    let before = world.keys();
    for id in [id("", ""), id("", "d"), id("p", "d")] {
        create(&vault, &id, "one").await.expect("it is new");
    }
    vault.delete(&id("", "d"), &by()).await.expect("it is there");
    let rotated = vault.rotate(&by()).await.expect("it rotates");
    assert_eq!((rotated.secrets, rotated.released, rotated.is_old_kept), (2, before.names(), false));
    assert_eq!(world.keys().names(), std::slice::from_ref(&rotated.key));
    assert_eq!(value(&vault, &id("p", "d")).await.as_deref(), Some("one"));
    create(&vault, &id("", "d"), "two").await.expect("it is new");
    let again = world.vault().await.expect("it opens");
    assert_eq!(value(&again, &id("", "d")).await.as_deref(), Some("two"));
    for id in [id("", ""), id("", "d"), id("p", "d")] {
        let (_, stored) = again.state(&id).await.expect("it can be read");
        assert_eq!(stored.expect("it is there").sealed.key, rotated.key);
    }
    assert!(world.with(&before.text()).await.is_err(), "the old key alone is not enough");
}

#[tokio::test]
async fn a_rotation_that_was_broken_off_loses_nothing_and_is_ended_by_the_next() {
    let world = World::new();
    let vault = world.vault().await.expect("it opens");
    create(&vault, &id("", ""), "one").await.expect("it is new");
    let old = world.keys();
    // The new key is in the file, and the log says that it is needed; nothing is encrypted by it yet.
    let both = Keys::generate().expect("there are random numbers").before(&old);
    KeySource::Own(world.file()).write(&world.file(), &both).expect("a folder of our own");
    drop(vault);
    let vault = world.vault().await.expect("it opens");
    create(&vault, &id("", "d"), "two").await.expect("it is new");
    assert_eq!(value(&vault, &id("", "")).await.as_deref(), Some("one"));
    assert!(world.with(&old.text()).await.is_err(), "one secret needs the new key");
    let rotated = vault.rotate(&by()).await.expect("it rotates");
    assert_eq!((rotated.secrets, rotated.released.len()), (2, 2));
    assert_eq!(value(&world.vault().await.expect("it opens"), &id("", "")).await.as_deref(), Some("one"));
}

#[tokio::test]
async fn a_variable_gives_the_new_key_before_the_old_one_and_a_person_takes_the_old_one_away() {
    let world = World::new();
    let vault = world.with(&key('a')).await.expect("it opens");
    create(&vault, &id("", ""), "one").await.expect("it is new");
    let refused = vault.rotate(&by()).await.expect_err("there is no new key").to_string();
    assert!(
        refused.starts_with("the variable SKEIN_SECRETS_KEY gives no new key: put the new one"),
        "{refused}"
    );

    let vault = world.with(&format!("{} {}", key('b'), key('a'))).await.expect("it opens");
    let rotated = vault.rotate(&by()).await.expect("it rotates");
    assert_eq!((rotated.secrets, rotated.is_old_kept), (1, true));
    let vault = world.with(&key('b')).await.expect("it opens");
    assert_eq!(value(&vault, &id("", "")).await.as_deref(), Some("one"));
}

#[tokio::test]
async fn whoever_only_reads_needs_the_key_and_takes_up_a_new_one_when_it_is_needed() {
    let world = World::new();
    let vault = world.vault().await.expect("it opens");
    create(&vault, &id("", ""), "one").await.expect("it is new");
    let reader =
        Vault::open_to_read(world.log(), Some(KeySource::Own(world.file()))).await.expect("it opens");
    assert_eq!(value(&reader, &id("", "")).await.as_deref(), Some("one"));
    vault.rotate(&by()).await.expect("it rotates");
    assert_eq!(value(&reader, &id("", "")).await.as_deref(), Some("one"));

    let without = Vault::open_to_read(world.log(), None).await.expect("it opens");
    let refused = without.find(&id("", "")).await.expect_err("it has no key").to_string();
    assert_eq!(
        refused,
        "the secret k of the organization cannot be read: this process has no key for secrets"
    );
    let other = Vault::open_to_read(world.log(), Some(variable(&key('a')))).await.expect("it opens");
    let refused = other.find(&id("", "")).await.expect_err("it is another").to_string();
    assert!(refused.ends_with("in the variable SKEIN_SECRETS_KEY"), "{refused}");
}

#[tokio::test]
async fn nothing_that_is_printed_holds_a_value_or_a_key() {
    let world = World::new();
    let vault = world.vault().await.expect("it opens");
    create(&vault, &id("", ""), "hunter2").await.expect("it is new");
    let found = vault.find(&id("", "")).await.expect("it can be read").expect("it is there");
    let key = world.keys().text().trim().to_owned();
    for printed in [format!("{vault:?}"), format!("{found:?}"), format!("{:?}", variable(&key))] {
        assert!(!printed.contains("hunter2") && !printed.contains(&key), "{printed}");
    }
}
