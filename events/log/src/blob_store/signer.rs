//! Signs URLs of objects in a local folder, which the gateway serves itself.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use skein_model::Timestamp;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

const KEY_BYTES: usize = 32;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// A signed URL that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// A part of it is missing.
    #[error("missing {field} in the URL")]
    Missing {
        /// The part.
        field: &'static str,
    },
    /// A part of it cannot be read.
    #[error("{field} {value:?} of the URL cannot be read")]
    Malformed {
        /// The part.
        field: &'static str,
        /// What it holds.
        value: String,
    },
    /// Its time is over.
    #[error("the URL expired {late_seconds} s ago")]
    Expired {
        /// How long ago, in seconds.
        late_seconds: u64,
    },
    /// It was not signed here, or was changed afterwards (also: another method or path than it was signed for).
    #[error("the URL's signature is not valid for this method and path")]
    Forged,
}

/// Signs with HMAC-SHA256 over method, path and expiry.
pub struct UrlSigner {
    key: [u8; KEY_BYTES],
}

impl fmt::Debug for UrlSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UrlSigner").finish_non_exhaustive()
    }
}

impl UrlSigner {
    /// Makes a signer of a key.
    pub const fn new(key: [u8; KEY_BYTES]) -> Self {
        Self { key }
    }

    /// Takes the key from a file; the first time, makes a random one that only the file's owner can read.
    ///
    /// # Errors
    /// When the file cannot be read or made, is not a key, or can be read by others.
    pub fn load_or_create(file: &Path) -> io::Result<Self> {
        match Self::load(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            loaded => return loaded,
        }
        let mut key = [0; KEY_BYTES];
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        // Two processes may come here at once: the one whose link succeeds decides, both load its key.
        let draft = file.with_extension(format!("{}.draft", std::process::id()));
        let mut written =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        written.write_all(&key)?;
        written.sync_all()?;
        let linked = fs::hard_link(&draft, file);
        fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            Ok(()) | Err(_) => Self::load(file),
        }
    }

    fn load(file: &Path) -> io::Result<Self> {
        let wrong =
            |what: String| io::Error::new(ErrorKind::InvalidData, format!("{}: {what}", file.display()));
        let mode = fs::metadata(file)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(wrong(format!("others may read this key (mode {mode:03o}), it must have mode 600")));
        }
        let bytes = fs::read(file)?;
        let length = bytes.len();
        let key =
            bytes.try_into().map_err(|_| wrong(format!("a key has {KEY_BYTES} bytes, this has {length}")))?;
        Ok(Self { key })
    }

    /// Signs; answers the query string for the URL. `path` is the one that [`UrlSigner::verify`] will be given, not
    /// percent-encoded. Expiry is counted in whole seconds, the fraction is dropped.
    pub fn sign(&self, method: &str, path: &str, expires: Timestamp) -> String {
        let expires = expires.as_micros().div_euclid(MICROS_PER_SECOND);
        let signature = self.mac(method, path, expires).finalize().into_bytes();
        format!("expires={expires}&signature={}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Checks the query string of a URL. Parameters other than the two it needs are not looked at.
    ///
    /// # Errors
    /// See [`SignatureError`]; nothing may be read or written then.
    pub fn verify(
        &self,
        method: &str,
        path: &str,
        query: &str,
        now: Timestamp,
    ) -> Result<(), SignatureError> {
        let (text, signature) = (parameter(query, "expires")?, parameter(query, "signature")?);
        let malformed =
            |field, value: &str| SignatureError::Malformed { field, value: value.chars().take(64).collect() };
        let expires: i64 = text.parse().map_err(|_| malformed("expires", text))?;
        let given = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed("signature", signature))?;
        self.mac(method, path, expires).verify_slice(&given).map_err(|_| SignatureError::Forged)?;
        let late = now.as_micros().div_euclid(MICROS_PER_SECOND).saturating_sub(expires);
        match u64::try_from(late) {
            Ok(late_seconds) if late_seconds > 0 => Err(SignatureError::Expired { late_seconds }),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn mac(&self, method: &str, path: &str, expires: i64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        // No method and no number holds a line break, so no two requests have the same text.
        mac.update(format!("{method}\n{expires}\n{path}").as_bytes());
        mac
    }
}

fn parameter<'a>(query: &'a str, field: &'static str) -> Result<&'a str, SignatureError> {
    let mut found =
        query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(name, _)| *name == field);
    let (_, value) = found.next().ok_or(SignatureError::Missing { field })?;
    match found.next() {
        Some(_) => Err(SignatureError::Malformed { field, value: format!("{value}, given twice") }),
        None => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Timestamp = Timestamp::from_micros(100 * MICROS_PER_SECOND);

    fn signer() -> UrlSigner {
        UrlSigner::new([7; KEY_BYTES])
    }

    #[test]
    fn a_signed_url_is_good_until_it_expires() {
        let query = signer().sign("PUT", "a/b=", LATER);
        assert_eq!(signer().verify("PUT", "a/b=", &query, LATER), Ok(()));
        let late = LATER.after(std::time::Duration::from_secs(3));
        assert_eq!(
            signer().verify("PUT", "a/b=", &query, late),
            Err(SignatureError::Expired { late_seconds: 3 })
        );
    }

    #[test]
    fn a_url_for_one_thing_is_not_good_for_another() {
        let query = signer().sign("GET", "a", LATER);
        assert_eq!(signer().verify("PUT", "a", &query, LATER), Err(SignatureError::Forged));
        assert_eq!(signer().verify("GET", "b", &query, LATER), Err(SignatureError::Forged));
        let longer = query.replace("expires=100", "expires=101");
        assert_eq!(signer().verify("GET", "a", &longer, LATER), Err(SignatureError::Forged));
        let other = UrlSigner::new([8; KEY_BYTES]);
        assert_eq!(other.verify("GET", "a", &query, LATER), Err(SignatureError::Forged));
    }

    #[test]
    fn what_is_missing_or_unreadable_in_a_url_is_named() {
        let check = |query: &str| signer().verify("GET", "a", query, LATER);
        assert_eq!(check(""), Err(SignatureError::Missing { field: "expires" }));
        assert_eq!(check("expires=1"), Err(SignatureError::Missing { field: "signature" }));
        let malformed = check("expires=soon&signature=AA");
        assert!(matches!(malformed, Err(SignatureError::Malformed { field: "expires", .. })));
        let malformed = check("expires=1&signature=%%");
        assert!(matches!(malformed, Err(SignatureError::Malformed { field: "signature", .. })));
        let twice = check("expires=1&expires=2&signature=AA");
        assert!(matches!(twice, Err(SignatureError::Malformed { field: "expires", .. })));
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_only_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url.key");
        let query = UrlSigner::load_or_create(&file).unwrap().sign("GET", "a", LATER);
        assert_eq!(UrlSigner::load_or_create(&file).unwrap().verify("GET", "a", &query, LATER), Ok(()));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = UrlSigner::load_or_create(&file).unwrap_err();
        assert!(refused.to_string().contains("mode 600"), "{refused}");
    }

    #[test]
    fn a_file_that_is_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url.key");
        fs::write(&file, "short").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let refused = UrlSigner::load_or_create(&file).unwrap_err();
        assert!(refused.to_string().contains("a key has 32 bytes, this has 5"), "{refused}");
    }
}
