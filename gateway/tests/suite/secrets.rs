//! Secrets, as clients make, list and remove them.

use crate::harness::{Harness, refusal};
use skein_idl::cloudidl::secret::secret_service_client::SecretServiceClient;
use skein_idl::cloudidl::secret::{
    CreateSecretRequest, DeleteSecretRequest, GetSecretRequest, ListSecretsRequest, ListSecretsResponse,
    SecretIdentifier, SecretSpec, SecretType, UpdateSecretRequest, secret_spec,
};
use skein_log::EventLog as _;
use skein_model::{Head, JournalId, SecretId};
use tonic::Code;
use tonic::transport::Channel;

const VALUE: &str = "correct horse battery staple";

fn client(harness: &Harness) -> SecretServiceClient<Channel> {
    SecretServiceClient::new(harness.channel.clone())
}

fn id(project: &str, domain: &str, name: &str) -> Option<SecretIdentifier> {
    let text = str::to_owned;
    let id = SecretIdentifier {
        name: text(name),
        project: text(project),
        domain: text(domain),
        ..Default::default()
    };
    Some(id)
}

fn spec(value: &str) -> Option<SecretSpec> {
    let value = Some(secret_spec::Value::StringValue(value.to_owned()));
    Some(SecretSpec { value, r#type: SecretType::Generic.into() })
}

async fn create(harness: &Harness, id: Option<SecretIdentifier>) -> Result<(), tonic::Status> {
    let request = CreateSecretRequest { id, secret_spec: spec(VALUE) };
    client(harness).create_secret(request).await.map(drop)
}

async fn list(harness: &Harness, request: ListSecretsRequest) -> ListSecretsResponse {
    client(harness).list_secrets(request).await.unwrap().into_inner()
}

fn names(answer: &ListSecretsResponse) -> Vec<String> {
    answer.secrets.iter().map(|secret| secret.id.clone().unwrap().name).collect()
}

#[tokio::test]
async fn a_secret_is_made_once_and_what_is_known_of_it_is_answered_without_its_value() {
    let harness = Harness::start().await;
    create(&harness, id("flytesnacks", "development", "k")).await.unwrap();
    let again = refusal(create(&harness, id("flytesnacks", "development", "k")).await);
    let exists = "the secret k of project flytesnacks and domain development already exists";
    assert_eq!(again, (Code::AlreadyExists, exists.to_owned()));
    let get = GetSecretRequest { id: id("flytesnacks", "development", "k") };
    let secret = client(&harness).get_secret(get).await.unwrap().into_inner().secret.unwrap();
    let metadata = secret.secret_metadata.unwrap();
    assert_eq!(secret.id, id("flytesnacks", "development", "k"));
    assert_eq!(metadata.secret_status.unwrap().overall_status, 2);
    assert!(metadata.created_time.is_some());
    let journal = JournalId::secret(&SecretId::parse("flytesnacks", "development", "k").unwrap());
    let records = harness.log.read(&journal, Head::EMPTY).await.unwrap();
    let [record] = &records[..] else { panic!("one record") };
    assert!(!record.record.body.windows(VALUE.len()).any(|part| part == VALUE.as_bytes()));
}

#[tokio::test]
async fn a_probe_of_every_scope_finds_it_only_where_it_is() {
    let harness = Harness::start().await;
    create(&harness, id("", "development", "k")).await.unwrap();
    for (project, domain) in [("", ""), ("flytesnacks", ""), ("flytesnacks", "development"), ("", "staging")]
    {
        let get = GetSecretRequest { id: id(project, domain, "k") };
        assert_eq!(refusal(client(&harness).get_secret(get).await).0, Code::NotFound);
    }
    let get = GetSecretRequest { id: id("", "development", "k") };
    client(&harness).get_secret(get).await.unwrap();
}

#[tokio::test]
async fn an_update_keeps_what_it_is_for_and_a_removal_frees_the_name() {
    let harness = Harness::start().await;
    let own = || id("", "", "k");
    let image = SecretSpec { r#type: SecretType::ImagePullSecret.into(), ..spec(VALUE).unwrap() };
    let update = || UpdateSecretRequest { id: own(), secret_spec: spec("other") };
    let absent = refusal(client(&harness).update_secret(update()).await);
    assert_eq!(absent, (Code::NotFound, "there is no secret k of the organization".to_owned()));
    let request = CreateSecretRequest { id: own(), secret_spec: Some(image) };
    client(&harness).create_secret(request).await.unwrap();
    client(&harness).update_secret(update()).await.unwrap();
    let get = || GetSecretRequest { id: own() };
    let secret = client(&harness).get_secret(get()).await.unwrap().into_inner().secret.unwrap();
    assert_eq!(secret.secret_metadata.unwrap().r#type(), SecretType::ImagePullSecret);
    client(&harness).delete_secret(DeleteSecretRequest { id: own() }).await.unwrap();
    assert_eq!(refusal(client(&harness).get_secret(get()).await).0, Code::NotFound);
    assert_eq!(
        refusal(client(&harness).delete_secret(DeleteSecretRequest { id: own() }).await).0,
        Code::NotFound
    );
    create(&harness, own()).await.unwrap();
}

#[tokio::test]
async fn a_list_goes_from_page_to_page_and_is_of_the_scope_that_is_named() {
    let harness = Harness::start().await;
    for name in ["a", "b", "c"] {
        create(&harness, id("", "", name)).await.unwrap();
    }
    create(&harness, id("", "development", "d")).await.unwrap();
    create(&harness, id("flytesnacks", "development", "e")).await.unwrap();
    let first = list(&harness, ListSecretsRequest { limit: 2, ..Default::default() }).await;
    assert_eq!(names(&first), ["a", "b"]);
    let per_cluster_tokens = first.per_cluster_tokens.clone();
    assert!(!first.token.is_empty() && per_cluster_tokens.values().all(|token| *token == first.token));
    let by_clusters = ListSecretsRequest { limit: 2, per_cluster_tokens, ..Default::default() };
    let by_token = ListSecretsRequest { limit: 2, token: first.token, ..Default::default() };
    let second = list(&harness, by_clusters).await;
    assert_eq!(second, list(&harness, by_token).await);
    assert_eq!(names(&second), ["c", "d"]);
    let last = ListSecretsRequest { limit: 2, token: second.token, ..Default::default() };
    let last = list(&harness, last).await;
    assert_eq!(
        (names(&last), last.token, last.per_cluster_tokens),
        (vec!["e".to_owned()], String::new(), [].into())
    );
    let of = async |project: &str, domain: &str| {
        let (project, domain) = (project.to_owned(), domain.to_owned());
        names(&list(&harness, ListSecretsRequest { project, domain, limit: 9, ..Default::default() }).await)
    };
    assert_eq!(of("flytesnacks", "development").await, ["e"]);
    assert_eq!(of("", "development").await, ["d", "e"]);
    assert_eq!(of("flytesnacks", "").await, ["e"]);
    assert!(of("", "staging").await.is_empty());
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_and_never_the_value() {
    let harness = Harness::start().await;
    let binary = |bytes: usize| {
        let value = Some(secret_spec::Value::BinaryValue(vec![b'x'; bytes].into()));
        Some(SecretSpec { value, r#type: 0 })
    };
    let good = || id("", "", "k");
    let cases = [
        (None, spec(VALUE), "missing id"),
        (id("", "", ""), spec(VALUE), "missing name"),
        (id("", "", "a/b"), spec(VALUE), "name \"a/b\" holds '/'"),
        (id("flytesnacks", "", "k"), spec(VALUE), "id has project \"flytesnacks\" and no domain"),
        (id("", "nowhere", "k"), spec(VALUE), "domain [nowhere] is unrecognized by system"),
        (id("nothing", "development", "k"), spec(VALUE), "project [nothing] not found"),
        (good(), None, "missing secret_spec"),
        (good(), Some(SecretSpec::default()), "missing value in secret_spec"),
        (good(), spec(""), "the value of secret_spec is empty"),
        (good(), binary(524_289), "the value of secret_spec has 524289 bytes, the limit is 524288"),
        (good(), Some(SecretSpec { r#type: 7, ..spec(VALUE).unwrap() }), "secret_spec.type is 7; it is 0"),
    ];
    for (id, secret_spec, expected) in cases {
        let answer = client(&harness).create_secret(CreateSecretRequest { id, secret_spec }).await;
        let (code, message) = refusal(answer);
        assert_eq!(code, Code::InvalidArgument, "{message}");
        assert!(message.contains(expected) && !message.contains(VALUE), "{message}");
    }
    let request = CreateSecretRequest { id: good(), secret_spec: binary(524_288) };
    client(&harness).create_secret(request).await.unwrap();
    for (request, expected) in [
        (ListSecretsRequest::default(), "limit is 0; it has to be positive"),
        (ListSecretsRequest { limit: -1, ..Default::default() }, "limit is -1"),
        (
            ListSecretsRequest { limit: 1, token: "a".to_owned(), ..Default::default() },
            "token is \"a\", which",
        ),
        (
            ListSecretsRequest { limit: 1, domain: "a/b".to_owned(), ..Default::default() },
            "domain \"a/b\" holds",
        ),
    ] {
        let (code, message) = refusal(client(&harness).list_secrets(request).await);
        assert_eq!(code, Code::InvalidArgument);
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn secrets_are_there_after_a_restart_and_the_views_hold_none_of_their_values() {
    let mut harness = Harness::start().await;
    create(&harness, id("", "", "k")).await.unwrap();
    harness.stop().await;
    for entry in std::fs::read_dir(harness.views()).unwrap() {
        // SQLite takes its log away when the last connection is closed.
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(VALUE.len()).any(|part| part == VALUE.as_bytes()));
    }
    std::fs::remove_dir_all(harness.views()).unwrap();
    harness.start_again().await;
    let listed = list(&harness, ListSecretsRequest { limit: 9, ..Default::default() }).await;
    assert_eq!(names(&listed), ["k"]);
}

#[tokio::test]
async fn a_rotation_over_http_is_for_who_says_that_it_is_json() {
    let harness = Harness::start().await;
    create(&harness, id("", "", "k")).await.unwrap();
    let rotate = "/api/v1/secrets/rotate";
    let (status, said) = harness.http("POST", rotate, &[("Content-Type", "text/plain")], b"").await;
    assert_eq!(status, 400);
    assert!(String::from_utf8_lossy(&said).contains("content-type has to be application/json"));
    let (_, before) = harness.http("GET", "/api/v1/secrets", &[], b"").await;
    let (status, said) = harness.http("POST", rotate, &[("Content-Type", "application/json")], b"").await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&said));
    let (_, after) = harness.http("GET", "/api/v1/secrets", &[], b"").await;
    let key = |listed: &[u8]| {
        let listed: serde_json::Value = serde_json::from_slice(listed).unwrap();
        listed[0]["key"].as_str().unwrap().to_owned()
    };
    assert_ne!(key(&before), key(&after));
}
