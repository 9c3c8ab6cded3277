"""The key and certificates that sign manifests: given as files, or made for development on first use.

What is signed with them is told in `signing`. A development certificate proves that a file is as this lake wrote
it; whom it is from, only one from a public authority can prove.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from haetae.errors import UsageError

CHAIN, KEY, ROOT = "chain.pem", "key.pem", "root.pem"
DEVELOPMENT_NAME = "Haetae development"
_LIFETIME = dt.timedelta(days=3650)
_MAX_BYTES = 1 << 20
_PEM = serialization.Encoding.PEM
_UNUSED = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")


@dataclass(frozen=True)
class Credentials:
    """What signs.

    chain_pem: the signing certificate, then those above it; key_pem: its private key, PKCS#8, never shown;
    alg: how it signs, as C2PA names it; anchors_pem: certificates to trust when what was signed is read.
    """

    chain_pem: bytes
    key_pem: bytes
    alg: str
    anchors_pem: str

    def __repr__(self) -> str:
        return f"Credentials(alg={self.alg!r})"


def load_credentials(chain: Path, key: Path) -> Credentials:
    """Read a certificate chain and its private key, both PEM; the last certificate is the one to trust.

    Raises: UsageError where a file is missing, others may read the key, it is of no use for C2PA, or the two do
    not belong together.
    """
    chain_pem, key_pem = _content(chain), _content(key)
    if stat.S_IMODE(key.stat().st_mode) & 0o077:
        raise UsageError(f"others may read the signing key {key}; run `chmod 600 {key}`")
    try:
        certificates = x509.load_pem_x509_certificates(chain_pem)
        private = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{chain} and {key} must be PEM, the key without a password: {error}") from error
    alg = {256: "es256", 384: "es384", 521: "es512"}.get(getattr(private, "key_size", 0))
    if not isinstance(private, ec.EllipticCurvePrivateKey) or alg is None:
        raise UsageError(f"{key} must be an elliptic-curve key on P-256, P-384 or P-521")
    if certificates[0].public_key() != private.public_key():
        raise UsageError(f"the first certificate of {chain} is not that of the key {key}")
    if certificates[0].not_valid_after_utc < dt.datetime.now(dt.UTC):
        raise UsageError(f"the certificate {chain} expired on {certificates[0].not_valid_after_utc:%Y-%m-%d}")
    pkcs8 = private.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Credentials(chain_pem, pkcs8, alg, certificates[-1].public_bytes(_PEM).decode())


def development_credentials(folder: Path) -> Credentials:
    """The lake's own development credentials, made on first use: a folder only its owner may enter, files of mode 600.

    folder: below the lake, e.g. `keys/marks`. Two processes that make it at once end up with one.
    Raises: UsageError as `load_credentials`, and where the folder is open to others.
    """
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))  # mode 700
        try:
            _write_development(made)
            os.rename(made, folder)
        except FileExistsError:
            pass  # another process was faster: a folder that holds files is not replaced
        except OSError:
            if not (folder / KEY).exists():
                raise
        finally:
            shutil.rmtree(made, ignore_errors=True)
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        raise UsageError(f"others may enter {folder}, which holds a signing key; run `chmod 700 {folder}`")
    return load_credentials(folder / CHAIN, folder / KEY)


def _write_development(folder: Path) -> None:
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate(f"{DEVELOPMENT_NAME} root", root_key, root_key, is_root=True)
    leaf = _certificate(DEVELOPMENT_NAME, key, root_key, is_root=False)
    # The root's own key is not kept: nothing else can ever be signed below it.
    secret = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for name, content in (
        (KEY, secret),
        (CHAIN, leaf.public_bytes(_PEM) + root.public_bytes(_PEM)),
        (ROOT, root.public_bytes(_PEM)),
    ):
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer_key: ec.EllipticCurvePrivateKey, *, is_root: bool
) -> x509.Certificate:
    """A certificate of the profile that C2PA asks for (specification 2.2, section 14.5.1)."""
    usage = dict.fromkeys((*_UNUSED, "encipher_only", "decipher_only"), False)
    usage |= {"digital_signature": not is_root, "key_cert_sign": is_root, "crl_sign": is_root}
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(f"{DEVELOPMENT_NAME} root"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=0 if is_root else None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer_id, critical=False)
    )
    if not is_root:
        uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        made = made.add_extension(uses, critical=False)
    return made.sign(issuer_key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    parts = {NameOID.COMMON_NAME: common, NameOID.ORGANIZATION_NAME: DEVELOPMENT_NAME}
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts.items()])


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; give key and certificate chain") from error
    if len(content) > _MAX_BYTES:
        raise UsageError(f"{path} is larger than a key or certificate chain can be")
    return content
