//! What a client needs to find this server, as the SDK's configuration file has it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Writes the configuration under the data folder; answers where it is.
///
/// # Errors
/// When it cannot be written.
pub fn write(data: &Path, address: SocketAddr) -> std::io::Result<PathBuf> {
    let file = path(data);
    let temporary = data.join(".client.yaml.new");
    std::fs::write(&temporary, text(address))?;
    std::fs::rename(&temporary, &file)?;
    Ok(file)
}

/// Answers where the configuration is under the data folder.
pub fn path(data: &Path) -> PathBuf {
    data.join("client.yaml")
}

/// Answers the variables by which user code finds the server that runs it, as eager workflows do.
pub fn variables(mut address: SocketAddr) -> Vec<(String, String)> {
    if address.ip().is_unspecified() {
        // All addresses of the machine: one of them is its own.
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let pair = |name: &str, value: String| (name.to_owned(), value);
    vec![pair("FLYTE_PLATFORM_URL", address.to_string()), pair("FLYTE_PLATFORM_INSECURE", "true".to_owned())]
}

fn text(address: SocketAddr) -> String {
    format!(
        "# Written by `skein up`. Clients find it by FLYTECTL_CONFIG (pyflyte) or UNION_CONFIG (union).\n\
         admin:\n  endpoint: dns:///{address}\n  insecure: true\n\
         console:\n  endpoint: http://{address}\n"
    )
}
