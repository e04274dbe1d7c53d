//! What a client needs to find this server, as the SDK's configuration file has it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Writes the configuration under the data folder; answers where it is.
///
/// # Errors
/// When it cannot be written.
pub fn write(data: &Path, address: SocketAddr) -> std::io::Result<PathBuf> {
    let file = data.join("client.yaml");
    let temporary = data.join(".client.yaml.new");
    std::fs::write(&temporary, text(address))?;
    std::fs::rename(&temporary, &file)?;
    Ok(file)
}

fn text(address: SocketAddr) -> String {
    format!(
        "# Written by `skein up`. Clients find it by FLYTECTL_CONFIG (pyflyte) or UNION_CONFIG (union).\n\
         admin:\n  endpoint: dns:///{address}\n  insecure: true\n\
         console:\n  endpoint: http://{address}\n"
    )
}
