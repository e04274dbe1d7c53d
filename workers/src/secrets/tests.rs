//! What an attempt finds of the secrets that it asks for, and what is left of them afterwards.

use super::*;
use skein_idl::flyteidl::core::secret::MountType;
use skein_idl::flyteidl::core::{Secret, SecurityContext};
use skein_log::memory::MemoryLog;
use skein_model::{
    Attempt, BlobRef, Charge, DataRef, EntityId, EntityKind, ExecutionId, FailureCause, Life, NodeId, PoolId,
    SecretKind, Timestamp, WorkId, WorkKind,
};
use skein_secrets::{By, Expect, KeySource};

struct World {
    folder: tempfile::TempDir,
    vault: Arc<Vault>,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = KeySource::Own(folder.path().join("secrets.key"));
        let vault = Vault::open(Arc::new(MemoryLog::default()), key).await.expect("it opens");
        Self { folder, vault: Arc::new(vault) }
    }

    async fn with(self, name: &str, value: &[u8]) -> Self {
        let id = SecretId::parse("p", "d", name).expect("it is right");
        let by = By { principal: String::new(), at: Timestamp::EPOCH, trace: None };
        self.vault.put(&id, SecretKind::Generic, value, Expect::Absent, &by).await.expect("it is new");
        self
    }

    fn secrets(&self) -> Secrets {
        let mut config = Config::new(PoolId("p".to_owned()), "python".into(), self.folder.path().to_owned());
        config.secrets = Some(Arc::clone(&self.vault));
        Secrets::open(&config).expect("a folder of our own")
    }

    async fn give(&self, asked: Vec<Secret>) -> Result<Given, Failure> {
        self.secrets().give(&work(), &template(asked)).await
    }
}

fn template(secrets: Vec<Secret>) -> TaskTemplate {
    let security_context = Some(SecurityContext { secrets, ..SecurityContext::default() });
    TaskTemplate { security_context, ..TaskTemplate::default() }
}

fn secret(key: &str, mount: MountType) -> Secret {
    Secret { key: key.to_owned(), mount_requirement: mount.into(), ..Secret::default() }
}

fn work() -> Work {
    let text = str::to_owned;
    let execution = ExecutionId { project: text("p"), domain: text("d"), name: text("x") };
    let task = EntityId {
        kind: EntityKind::Task,
        project: text("p"),
        domain: text("d"),
        name: text("m.t"),
        version: text("v"),
    };
    Work {
        id: WorkId { execution, node: NodeId::new("n0"), attempt: Attempt(0), items: None },
        pool: PoolId(text("p")),
        workflow: task.clone(),
        task,
        template: BlobRef { uri: String::new(), size: 0, digest: 0 },
        kind: WorkKind::Task,
        rank: 0,
        isolation: None,
        life: Life::default(),
        processes_max: None,
        actor: None,
        resources: skein_model::TaskResources::default(),
        image: None,
        raw_prefix: None,
        connector: None,
        args: Vec::new(),
        env: Vec::new(),
        inputs: DataRef::empty(),
        input_uri: String::new(),
        output_prefix: String::new(),
        timeout: None,
        trace: None,
    }
}

fn variables(given: &Given) -> BTreeMap<String, String> {
    given.variables().collect()
}

#[tokio::test]
async fn a_task_that_asks_for_nothing_gets_nothing() {
    let world = World::new().await.with("k", b"v").await;
    let given = world.give(Vec::new()).await.expect("nothing is missing");
    assert!(variables(&given).is_empty() && given.names().is_empty());
    assert!(!world.folder.path().join(SCRATCH_NAME).exists());
}

#[tokio::test]
async fn a_variable_has_the_names_that_the_sdk_looks_for_and_the_one_that_the_task_chose() {
    let world = World::new().await.with("k", b"v").await;
    let asked =
        Secret { group: "g".to_owned(), env_var: "MINE".to_owned(), ..secret("k", MountType::EnvVar) };
    let given = world.give(vec![asked]).await.expect("it is there");
    let found = variables(&given);
    for name in ["_UNION_K", "_UNION_G_K", "MINE"] {
        assert_eq!(found.get(name).map(String::as_str), Some("v"), "{name}");
        assert!(given.names().contains(&name.to_owned()));
    }
    assert_eq!(found["FLYTE_SECRETS_ENV_PREFIX"], "_UNION_");
    assert!(!given.shared().any(|(_, value)| value == "v"));
}

#[tokio::test]
async fn a_file_is_for_its_user_alone_and_goes_with_the_attempt() {
    let world = World::new().await.with("K", &[0xff, 0, 1]).await;
    let asked = Secret { group: "G".to_owned(), env_var: "MINE".to_owned(), ..secret("K", MountType::File) };
    let secrets = world.secrets();
    let given = secrets.give(&work(), &template(vec![asked])).await.expect("it is there");
    let found = variables(&given);
    let folder = PathBuf::from(&found["FLYTE_SECRETS_DEFAULT_DIR"]);
    assert_eq!(found["MINE"], folder.join("k").display().to_string());
    assert!(!found.contains_key("_UNION_K"));
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    for file in [folder.join("k"), folder.join("g/k")] {
        assert_eq!(fs::read(&file).expect("it is there"), [0xff, 0, 1]);
        assert_eq!(mode(&file), 0o600);
    }
    assert_eq!([mode(&folder), mode(&folder.join("g"))], [0o700; 2]);
    fs::set_permissions(folder.join("g"), fs::Permissions::from_mode(0o000)).expect("ours");
    drop(given);
    assert!(!folder.exists());
    drop(secrets);
    assert!(!folder.parent().expect("it has one").exists());
}

#[tokio::test]
async fn what_an_earlier_process_left_is_removed_when_the_next_one_starts() {
    let world = World::new().await.with("k", b"v").await;
    let secrets = world.secrets();
    let given =
        secrets.give(&work(), &template(vec![secret("k", MountType::File)])).await.expect("it is there");
    let folder = PathBuf::from(&variables(&given)["FLYTE_SECRETS_DEFAULT_DIR"]);
    std::mem::forget((given, secrets));
    assert!(folder.exists(), "it was killed");
    world.secrets();
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_is_removed_and_not_followed() {
    let world = World::new().await;
    let precious = world.folder.path().join("skein-secrets-1-1");
    fs::create_dir(&precious).expect("a folder");
    std::os::unix::fs::symlink(&precious, world.folder.path().join(SCRATCH_NAME)).expect("a link");
    world.secrets();
    assert!(precious.exists() && !world.folder.path().join(SCRATCH_NAME).exists());
}

#[tokio::test]
async fn what_cannot_be_a_variable_is_refused_as_one_and_a_file_where_the_task_leaves_it_open() {
    let long = vec![b'x'; VARIABLE_BYTES_MAX];
    let world = World::new().await.with("binary", &[0xff]).await;
    let world = world.with("zero", b"a\0b").await.with("long", &long).await;
    for (key, why) in [
        ("binary", "it is not text in UTF-8"),
        ("zero", "it has a zero byte in it"),
        ("long", "it has 131071 bytes, and a variable holds 131059"),
    ] {
        let refused = world.give(vec![secret(key, MountType::EnvVar)]).await.expect_err("it cannot be");
        assert_eq!((refused.code.as_str(), refused.charge), ("SecretUnusable", Charge::User));
        assert_eq!(
            refused.message,
            format!(
                "task m.t asks for the secret {key} of project p and domain d as a variable, but {why}; \
                 ask for it as a file: mount_requirement=Secret.MountType.FILE"
            )
        );
        assert!(!refused.is_retryable());
        let given = world.give(vec![secret(key, MountType::Any)]).await.expect("it is a file");
        assert!(!variables(&given).contains_key(&format!("_UNION_{}", key.to_uppercase())));
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_with_key_group_and_where_it_was_looked_for() {
    let world = World::new().await;
    let asked = Secret { group: "g".to_owned(), ..secret("k", MountType::Any) };
    let refused = world.give(vec![asked]).await.expect_err("it is not there");
    assert_eq!((refused.code.as_str(), refused.cause), ("SecretNotFound", FailureCause::InvalidRequest));
    assert_eq!(
        refused.message,
        "task m.t asks for the secret \"k\" (group \"g\"), which is not there; it was looked for in project p and domain d, \
         then in domain d, then in the organization. Make it: union create secret --name k"
    );
}

#[tokio::test]
async fn a_place_that_another_secret_has_by_its_group_is_left_to_that() {
    let world = World::new().await.with("a", b"1").await.with("b", b"2").await;
    let plain = Secret { group: "x".to_owned(), env_var: "B".to_owned(), ..secret("b", MountType::File) };
    let grouped = Secret { group: "b".to_owned(), env_var: "A".to_owned(), ..secret("a", MountType::File) };
    let secrets = world.secrets();
    let asked = template(vec![plain, grouped.clone()]);
    let given = secrets.give(&work(), &asked).await.expect("both are there");
    let found = variables(&given);
    let folder = PathBuf::from(&found["FLYTE_SECRETS_DEFAULT_DIR"]);
    let read = |path: &Path| fs::read_to_string(path).expect("it is there");
    assert_eq!(
        [&folder.join("x/b"), &folder.join("b/a"), &folder.join("a")].map(|path| read(path)),
        ["2", "1", "1"]
    );
    assert_eq!([&found["A"], &found["B"]].map(|path| read(Path::new(path))), ["1", "2"]);
    let asked = template(vec![secret("b", MountType::File), grouped]);
    let refused = secrets.give(&work(), &asked).await.expect_err("one is in the way of the other");
    assert_eq!((refused.code.as_str(), refused.charge), ("SecretUnusable", Charge::User));
}

#[tokio::test]
async fn a_worker_without_a_key_says_so_and_nobody_of_the_users_is_charged() {
    let world = World::new().await;
    let mut secrets = world.secrets();
    secrets.vault = None;
    let refused = secrets.give(&work(), &template(vec![secret("k", MountType::Any)])).await;
    let refused = refused.expect_err("there is no key");
    assert_eq!((refused.code.as_str(), refused.charge), ("StartFailed", Charge::System));
    assert!(refused.message.contains("this process has no key for secrets"), "{}", refused.message);
}

#[tokio::test]
async fn values_are_not_printed() {
    let world = World::new().await.with("k", b"hunter2").await;
    let given = world.give(vec![secret("k", MountType::Any)]).await.expect("it is there");
    assert!(!format!("{given:?}").contains("hunter2"));
}
