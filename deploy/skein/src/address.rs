//! Which execution is meant, and which server has it.

use anyhow::{Context as _, bail};
use skein_model::ExecutionId;
use std::path::{Path, PathBuf};
use yaml_rust2::YamlLoader;

/// The project and domain of an execution that is named without: those that the SDK's command line takes.
pub const PROJECT: &str = "flytesnacks";
pub const DOMAIN: &str = "development";
/// Where `skein up` listens unless it is told otherwise.
const LOCAL: &str = "http://127.0.0.1:8090";
/// The variables that name a client's configuration, in the order in which they count.
const VARIABLES: [&str; 2] = ["FLYTECTL_CONFIG", "UNION_CONFIG"];

/// Takes an execution from the command line.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn execution(text: &str) -> Result<ExecutionId, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let (project, domain, name) = match parts[..] {
        [name] => (PROJECT, DOMAIN, name),
        [project, domain, name] => (project, domain, name),
        _ => return Err(format!("{text:?} has {} parts; say NAME or PROJECT/DOMAIN/NAME", parts.len())),
    };
    ExecutionId::parse(project, domain, name).map_err(|error| error.to_string())
}

/// Which server is asked.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// The server. Default: what FLYTECTL_CONFIG or UNION_CONFIG names, then ~/.skein/client.yaml, then
    /// http://127.0.0.1:8090
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

impl Which {
    /// Finds it.
    ///
    /// # Errors
    /// See [`Server::find`].
    pub fn server(&self) -> anyhow::Result<Server> {
        Server::find(self.server.as_deref(), |name| std::env::var(name).ok())
    }
}

/// Which server is asked, and how its answer is shown.
#[derive(Debug, clap::Args)]
pub struct Asked {
    #[command(flatten)]
    which: Which,
    /// Print the answer as JSON in one line.
    #[arg(long)]
    json: bool,
}

impl Asked {
    /// Finds the server.
    ///
    /// # Errors
    /// See [`Server::find`].
    pub fn server(&self) -> anyhow::Result<Server> {
        self.which.server()
    }

    /// Answers the answer itself, where that is asked for.
    pub fn raw<'a>(&self, json: &'a str) -> Option<&'a str> {
        self.json.then_some(json)
    }
}

/// A server, and who named it.
#[derive(Debug, PartialEq, Eq)]
pub struct Server {
    /// Its address, such as `http://127.0.0.1:8090`.
    pub url: String,
    /// Where that comes from, as a person would say it.
    pub named_by: String,
}

impl Server {
    /// Finds the server: the one given, that of the client's configuration, or the one on this machine. Variables are
    /// looked up with `variable`.
    ///
    /// # Errors
    /// When the one given is no address, or the configuration names none.
    pub fn find(given: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        if let Some(given) = given {
            return Ok(Self { url: checked(given)?, named_by: "--server".to_owned() });
        }
        for name in VARIABLES {
            if let Some(file) = variable(name).filter(|file| !file.is_empty()) {
                let url = of_file(Path::new(&file)).with_context(|| {
                    format!("{name} names {file}, which gives no server; say --server URL")
                })?;
                return Ok(Self { url, named_by: format!("{file}, which {name} names") });
            }
        }
        let home = variable("HOME").filter(|home| !home.is_empty());
        let file = home.map(|home| PathBuf::from(home).join(".skein/client.yaml"));
        match file.filter(|file| file.exists()) {
            Some(file) => {
                let shown = file.display().to_string();
                let url =
                    of_file(&file).with_context(|| format!("{shown} gives no server; say --server URL"))?;
                Ok(Self { url, named_by: shown })
            }
            None => Ok(Self { url: LOCAL.to_owned(), named_by: "nobody, so the default".to_owned() }),
        }
    }
}

fn checked(given: &str) -> anyhow::Result<String> {
    let (scheme, host) = given.split_once("://").unwrap_or(("http", given));
    match host.trim_end_matches('/') {
        host if ["http", "https"].contains(&scheme) && !host.is_empty() => Ok(format!("{scheme}://{host}")),
        _ => bail!("{given:?} is no address of a server; say http://HOST:PORT or https://HOST"),
    }
}

fn of_file(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).context("it cannot be read")?;
    of_text(&text)
}

/// Takes `admin.endpoint` and `admin.insecure`; whoever does not say the latter means TLS, as the SDK has it.
fn of_text(text: &str) -> anyhow::Result<String> {
    let documents = YamlLoader::load_from_str(text).context("it is no YAML")?;
    let admin = documents.first().map(|document| &document["admin"]);
    let Some(endpoint) = admin.and_then(|admin| admin["endpoint"].as_str()) else {
        bail!("it has no admin.endpoint, such as dns:///127.0.0.1:8090");
    };
    let insecure = admin.and_then(|admin| admin["insecure"].as_bool()).unwrap_or(false);
    let host = endpoint.trim_start_matches("dns:").trim_matches('/');
    let scheme = if insecure { "http" } else { "https" };
    match host {
        "" => bail!("its admin.endpoint is {endpoint:?}, and not such as dns:///127.0.0.1:8090"),
        host if host.contains("://") => checked(host),
        host => Ok(format!("{scheme}://{host}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_alone_is_in_the_project_and_domain_that_the_sdk_takes() {
        let expected = ExecutionId::parse("flytesnacks", "development", "abc");
        assert_eq!(execution("abc").ok(), expected.ok());
        assert_eq!(execution("p/d/abc").map(|id| id.to_string()), Ok("p/d/abc".to_owned()));
    }

    #[test]
    fn what_is_no_execution_is_refused_with_what_would_be_one() {
        for (text, words) in [
            ("d/abc", "has 2 parts; say NAME or PROJECT/DOMAIN/NAME"),
            ("http://x/abc", "has 4 parts"),
            ("", "missing name"),
            ("p//abc", "missing domain"),
            ("p/d/..", "name \"..\" names a folder"),
        ] {
            let refused = execution(text).expect_err(text);
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }

    #[test]
    fn the_server_given_counts_most() {
        let found = |given| Server::find(Some(given), |_| Some("other".to_owned())).map(|server| server.url);
        assert_eq!(found("https://skein.example/").ok().as_deref(), Some("https://skein.example"));
        assert_eq!(found("localhost:8090").ok().as_deref(), Some("http://localhost:8090"));
        assert!(found("ftp://x").is_err() && found("http://").is_err() && found("").is_err());
    }

    #[test]
    fn the_configuration_of_the_client_names_the_server() {
        let written = "# Written by `skein up`.\nadmin:\n  endpoint: dns:///127.0.0.1:8123\n  insecure: true\n\
                       console:\n  endpoint: http://127.0.0.1:9\n";
        assert_eq!(of_text(written).ok().as_deref(), Some("http://127.0.0.1:8123"));
        let secure = "admin: {endpoint: 'dns:///skein.example', authType: Pkce}";
        assert_eq!(of_text(secure).ok().as_deref(), Some("https://skein.example"));
        let whole = "admin:\n  endpoint: http://skein.example:80\n";
        assert_eq!(of_text(whole).ok().as_deref(), Some("http://skein.example:80"));
        for bad in ["", "console: {}", "admin: {insecure: true}", "admin:\n  endpoint: 'dns:///'", "[admin"] {
            assert!(of_text(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_configuration_that_is_named_and_not_there_is_no_reason_to_ask_another_server() {
        let named = |name: &str| (name == "UNION_CONFIG").then(|| "/nowhere/client.yaml".to_owned());
        let error = Server::find(None, named).expect_err("there is no such file").to_string();
        assert!(error.contains("UNION_CONFIG names /nowhere/client.yaml"), "{error}");
        assert!(error.contains("--server"), "{error}");
    }

    #[test]
    fn without_anything_it_is_the_server_of_this_machine() {
        let server = Server::find(None, |_| None).map(|server| server.url);
        assert_eq!(server.ok().as_deref(), Some("http://127.0.0.1:8090"));
    }
}
