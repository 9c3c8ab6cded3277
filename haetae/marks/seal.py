"""The seal of a sidecar: one signature over all it says, so also over the digest of every byte of the file beside it.

A C2PA manifest leaves some bytes of its file unsigned (the `ftyp` box, labels and padding of its own boxes); with
the seal no byte of an export is. Keys and certificates are kept by `credentials`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from haetae.marks.credentials import Credentials
from haetae.provenance.ids import canonical_json

State = Literal["trusted", "valid", "broken"]
MAX_CERTIFICATES = 8
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "es256": hashes.SHA256,
    "es384": hashes.SHA384,
    "es512": hashes.SHA512,
}


_BROKEN = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, InvalidSignature, UnsupportedAlgorithm,
)  # fmt: skip
"""What parsing and checking raise for text that anybody may have written."""


def sealed(told: Mapping[str, Any], credentials: Credentials) -> str:
    """The text of a sidecar: canonical JSON, with its signature and the certificates under `seal`."""
    key = serialization.load_pem_private_key(credentials.key_pem, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(canonical_json(told).encode(), ec.ECDSA(_HASHES[credentials.alg]()))
    chain = x509.load_pem_x509_certificates(credentials.chain_pem)
    return canonical_json({**told, "seal": _seal(credentials.alg, signature, chain)}) + "\n"


def read_seal(text: str, anchors_pem: str | None) -> State:
    """Whether the text of a sidecar is as it was sealed, to the byte.

    `trusted`: and the last certificate is one of the anchors, or signed by one; `valid`: by a signer not known here.
    """
    try:
        told = json.loads(text)
        seal = told.pop("seal")
        chain = x509.load_pem_x509_certificates(str(seal["chain"]).encode())
        key = chain[0].public_key()
        if len(chain) > MAX_CERTIFICATES or not isinstance(key, ec.EllipticCurvePublicKey):
            return "broken"
        how = ec.ECDSA(_HASHES[seal["alg"]]())
        signature = base64.b64decode(seal["signature"], validate=True)
        key.verify(signature, canonical_json(told).encode(), how)
        _check_chain(chain)
        # Equal values may be written in many ways; sealed is the one way that `sealed` writes them.
        seal = _seal(seal["alg"], signature, chain)
        if text != canonical_json({**told, "seal": seal}) + "\n":
            return "broken"
    except _BROKEN:
        return "broken"
    return "trusted" if _is_anchored(chain[-1], anchors_pem) else "valid"


def _seal(alg: str, signature: bytes, chain: list[x509.Certificate]) -> dict[str, str]:
    pem = "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in chain)
    return {"alg": alg, "signature": base64.b64encode(signature).decode(), "chain": pem}


def _check_chain(chain: list[x509.Certificate]) -> None:
    """Each certificate must be signed by the one above it, and one that is its own issuer by itself."""
    above = [*chain[1:], *(chain[-1:] if chain[-1].issuer == chain[-1].subject else [])]
    for lower, upper in zip(chain, above, strict=False):
        lower.verify_directly_issued_by(upper)


def _is_anchored(last: x509.Certificate, anchors_pem: str | None) -> bool:
    if anchors_pem is None:
        return False
    for anchor in x509.load_pem_x509_certificates(anchors_pem.encode()):
        if anchor == last:
            return True
        try:
            last.verify_directly_issued_by(anchor)
            return True
        except _BROKEN:
            continue
    return False
