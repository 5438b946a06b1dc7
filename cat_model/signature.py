"""Who exported a bundle: an Ed25519 signature (RFC 8032) of its manifest, which holds the model's hash."""

import base64
import binascii

from cat_model import extras

SIGNATURE = "manifest.sig"


class SignatureError(ValueError):
    """A signature is missing or wrong, or a key cannot be used; the message says which."""


def check(manifest: bytes, signature: bytes | None, public_key: str) -> None:
    """Check that the owner of a key signed a manifest.

    Args:
        manifest: the bytes of manifest.json.
        signature: the content of manifest.sig, base64; None where there is none.
        public_key: 32 bytes in base64.

    Raises:
        SignatureError: it is not signed, or not by this key, or the key is no key; or `cryptography`, which
            checks it, is missing.
    """
    _require_cryptography()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
    except (ValueError, binascii.Error):
        raise SignatureError(
            "CAT_BUNDLE_PUBLIC_KEY must be 32 bytes in base64, as `python -m export sign` prints it."
        ) from None
    if signature is None:
        raise SignatureError(f"It is not signed (no {SIGNATURE}), and CAT_BUNDLE_PUBLIC_KEY asks for that.")
    try:
        key.verify(base64.b64decode(signature.strip(), validate=True), manifest)
    except (InvalidSignature, binascii.Error, ValueError):
        raise SignatureError(
            f"Its {SIGNATURE} does not fit its manifest and CAT_BUNDLE_PUBLIC_KEY: it was changed, "
            "or signed by somebody else."
        ) from None


def sign(manifest: bytes, private_key: bytes) -> tuple[bytes, str]:
    """Sign a manifest.

    Args:
        manifest: the bytes of manifest.json.
        private_key: an Ed25519 key in PEM, without a password.

    Returns:
        The content of manifest.sig, and the public key as CAT_BUNDLE_PUBLIC_KEY takes it.

    Raises:
        SignatureError: it is no such key, or `cryptography` is missing.
    """
    _require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(private_key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError("The key must be an Ed25519 key in PEM: openssl genpkey -algorithm ed25519.")
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    return base64.b64encode(key.sign(manifest)) + b"\n", public


def _require_cryptography() -> None:
    try:
        extras.require("cryptography", "signing", "A signature")
    except extras.MissingExtraError as error:
        raise SignatureError(str(error)) from None
