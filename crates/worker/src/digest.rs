//! Converts digests between the store and the wire, which do not know each other.

pub(crate) fn to_wire(digest: store::Digest) -> rpc::message::Digest {
    rpc::message::Digest { bytes: digest.bytes, crc32: digest.crc32 }
}

pub(crate) fn from_wire(digest: rpc::message::Digest) -> store::Digest {
    store::Digest { bytes: digest.bytes, crc32: digest.crc32 }
}
