//! Objects in S3, as `moto` plays it.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use bytes::Bytes;
use skein_log::blob_store::{BlobStore, Method, S3Keys, S3Settings};
use skein_log::conformance;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take until it listens: moto imports a minute's worth of Python on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds. The server is another process: only by asking again can it be known how far it is.
fn until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A server of its own for each test.
struct Moto {
    process: Child,
    address: String,
}

impl Moto {
    fn start() -> Self {
        let python = std::env::var("SKEIN_TEST_MOTO_PYTHON").expect(
            "SKEIN_TEST_MOTO_PYTHON must name a Python that has moto[server]; `cargo xtask test` sets it",
        );
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the Python of SKEIN_TEST_MOTO_PYTHON can be run");
        let moto = Self { process, address: format!("127.0.0.1:{port}") };
        until("moto listens", || TcpStream::connect(&moto.address).is_ok());
        moto
    }

    /// Sends one request; answers the status line and the body.
    fn http(&self, method: &str, path: &str, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        let host = &self.address;
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    fn store(&self, prefix: &str) -> BlobStore {
        let (status, _) = self.http("PUT", "/values", "");
        assert!(status.contains("200"), "{status}");
        let keys = S3Keys { access_key_id: "key".to_owned(), secret_access_key: "secret".to_owned() };
        BlobStore::s3(S3Settings {
            bucket: "values".to_owned(),
            prefix: prefix.to_owned(),
            endpoint: Some(format!("http://{}", self.address)),
            region: "us-east-1".to_owned(),
            keys: Some(keys),
            allow_http: true,
        })
        .unwrap()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_the_contract() {
    let moto = Moto::start();
    conformance::blob_store(&moto.store("")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_of_a_bucket_keeps_the_contract() {
    let moto = Moto::start();
    let store = moto.store("some/where");
    assert_eq!(store.root(), "s3://values/some/where");
    conformance::blob_store(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_url_reads_and_writes_the_object_that_it_is_for() {
    let moto = Moto::start();
    let store = moto.store("p");
    let uri = store.url("GAYDAM====/a.txt");
    let path = async |method| {
        let url = store.presign(method, &uri, Duration::from_secs(60)).await.unwrap().unwrap();
        assert!(url.contains("X-Amz-Expires=60") && url.contains("X-Amz-Signature="), "{url}");
        url.split_once(&moto.address).unwrap().1.to_owned()
    };
    let (status, _) = moto.http("PUT", &path(Method::Put).await, "through a URL");
    assert!(status.contains("200"), "{status}");
    assert_eq!(store.get(&uri, 100).await.unwrap(), "through a URL");
    store.put(&uri, Bytes::from_static(b"otherwise")).await.unwrap();
    let (_, body) = moto.http("GET", &path(Method::Get).await, "");
    assert_eq!(body, "otherwise");
}
