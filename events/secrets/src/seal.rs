//! One value, encrypted for one secret.

use crate::Keys;
use crate::key::{Key, KeysError};
use bytes::Bytes;
use chacha20poly1305::aead::{Aead as _, Generate as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use skein_model::{Sealed, SecretId, SecretKind};
use zeroize::Zeroizing;

/// A value that cannot be decrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Its key is not among those that are there.
    #[error("the secret {id} is encrypted by the key {needs}, which is not there; there is {}", has.join(", "))]
    OtherKey {
        /// The secret.
        id: SecretId,
        /// The name of its key.
        needs: String,
        /// The names of those that are there.
        has: Vec<String>,
    },
    /// It was changed, or stands under another name than the one for which it was encrypted.
    #[error("the secret {id} is damaged: its record is not the one that was written for it")]
    Damaged {
        /// The secret.
        id: SecretId,
    },
}

/// Encrypts a value by the first of the keys.
///
/// # Errors
/// When this machine gives no random numbers.
pub fn seal(keys: &Keys, id: &SecretId, kind: SecretKind, value: &[u8]) -> Result<Sealed, KeysError> {
    let key = keys.first();
    // 192 bits: however many are drawn, no two are the same.
    let nonce = XNonce::try_generate().map_err(|error| KeysError::Random { reason: error.to_string() })?;
    let aad = bound_to(id, kind);
    let sealed = cipher(key).encrypt(&nonce, Payload { msg: value, aad: aad.as_bytes() });
    let ciphertext = sealed.expect("a value is far smaller than what one key stream covers");
    let nonce = Bytes::copy_from_slice(&nonce);
    Ok(Sealed { key: key.name.clone(), nonce, ciphertext: ciphertext.into() })
}

/// Decrypts a value.
///
/// # Errors
/// When its key is not there, or it is not the value of this secret.
pub fn open(
    keys: &Keys,
    id: &SecretId,
    kind: SecretKind,
    sealed: &Sealed,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let other = || OpenError::OtherKey { id: id.clone(), needs: sealed.key.clone(), has: keys.names() };
    let damaged = || OpenError::Damaged { id: id.clone() };
    let key = keys.find(&sealed.key).ok_or_else(other)?;
    let nonce = <[u8; 24]>::try_from(&sealed.nonce[..]).map_err(|_| damaged())?;
    let aad = bound_to(id, kind);
    let payload = Payload { msg: &sealed.ciphertext, aad: aad.as_bytes() };
    let opened = cipher(key).decrypt(&XNonce::from(nonce), payload);
    opened.map(Zeroizing::new).map_err(|_| damaged())
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&*key.bytes).into())
}

/// What a value is bound to. No name holds a line break, so no two secrets have the same text.
fn bound_to(id: &SecretId, kind: SecretKind) -> String {
    let SecretId { project, domain, name } = id;
    let kind = match kind {
        SecretKind::Generic => "generic",
        SecretKind::ImagePull => "image pull",
    };
    format!("skein secret 1\n{kind}\n{project}\n{domain}\n{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &[u8] = b"correct horse battery staple";

    fn id(project: &str, domain: &str, name: &str) -> SecretId {
        SecretId::parse(project, domain, name).expect("it is right")
    }

    fn keys() -> Keys {
        Keys::generate().expect("there are random numbers")
    }

    #[test]
    fn a_value_comes_back_and_is_nowhere_in_what_is_written() {
        let (keys, id) = (keys(), id("p", "d", "k"));
        for value in [VALUE, &[0, 0xff, 0xc3], &[]] {
            let sealed = seal(&keys, &id, SecretKind::Generic, value).expect("it is encrypted");
            let opened = open(&keys, &id, SecretKind::Generic, &sealed).expect("it is decrypted");
            assert_eq!(*opened, value);
            assert!(value.is_empty() || !sealed.ciphertext.windows(value.len()).any(|part| part == value));
        }
    }

    #[test]
    fn no_two_encryptions_are_alike() {
        let (keys, id) = (keys(), id("", "", "k"));
        let one = seal(&keys, &id, SecretKind::Generic, VALUE).expect("it is encrypted");
        let two = seal(&keys, &id, SecretKind::Generic, VALUE).expect("it is encrypted");
        assert_ne!((one.nonce, one.ciphertext), (two.nonce, two.ciphertext));
    }

    #[test]
    fn a_value_that_is_moved_to_another_name_scope_or_kind_is_not_decrypted() {
        let (keys, own) = (keys(), id("p", "d", "k"));
        let sealed = seal(&keys, &own, SecretKind::Generic, VALUE).expect("it is encrypted");
        for other in
            [id("p", "d", "l"), id("p", "e", "k"), id("q", "d", "k"), id("", "d", "k"), id("", "", "k")]
        {
            let opened = open(&keys, &other, SecretKind::Generic, &sealed);
            assert_eq!(opened, Err(OpenError::Damaged { id: other }));
        }
        assert!(open(&keys, &own, SecretKind::ImagePull, &sealed).is_err());
    }

    #[test]
    fn a_value_that_is_changed_is_not_decrypted() {
        let (keys, id) = (keys(), id("p", "d", "k"));
        let sealed = seal(&keys, &id, SecretKind::Generic, VALUE).expect("it is encrypted");
        let flipped = |bytes: &Bytes, at: usize| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 1;
            Bytes::from(bytes)
        };
        let changes = [
            Sealed { ciphertext: flipped(&sealed.ciphertext, 0), ..sealed.clone() },
            Sealed { ciphertext: sealed.ciphertext.slice(1..), ..sealed.clone() },
            Sealed { ciphertext: Bytes::new(), ..sealed.clone() },
            Sealed { nonce: flipped(&sealed.nonce, 0), ..sealed.clone() },
            Sealed { nonce: Bytes::new(), ..sealed.clone() },
        ];
        for changed in changes {
            let opened = open(&keys, &id, SecretKind::Generic, &changed);
            assert_eq!(opened, Err(OpenError::Damaged { id: id.clone() }));
        }
    }

    #[test]
    fn a_key_that_is_not_there_is_named_with_those_that_are() {
        let (one, other, id) = (keys(), keys(), id("p", "d", "k"));
        let sealed = seal(&one, &id, SecretKind::Generic, VALUE).expect("it is encrypted");
        let opened = open(&other, &id, SecretKind::Generic, &sealed);
        let needs = sealed.key.clone();
        assert_eq!(opened, Err(OpenError::OtherKey { id: id.clone(), needs, has: other.names() }));
        let both = other.before(&one);
        assert!(open(&both, &id, SecretKind::Generic, &sealed).is_ok());
    }
}
