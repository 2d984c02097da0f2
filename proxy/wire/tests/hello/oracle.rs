//! rustls beside us on the same bytes.

use octroi_wire::client_hello::{HelloReader, Peek, Sni};
use proptest::prelude::*;

use crate::made::in_records;
use crate::recorded::FIXTURES;
use crate::{LIMIT, read};

/// A server name and the protocols.
type Said = (Option<String>, Vec<Vec<u8>>);

/// What rustls makes of the same bytes: an error, not yet anything, or what it reads.
fn rustls(bytes: &[u8]) -> Result<Option<Said>, ()> {
    let mut acceptor = rustls::server::Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        acceptor.read_tls(&mut rest).map_err(drop)?;
        if let Some(accepted) = acceptor.accept().map_err(drop)? {
            let hello = accepted.client_hello();
            let alpn = hello
                .alpn()
                .into_iter()
                .flatten()
                .map(<[u8]>::to_vec)
                .collect();
            return Ok(Some((hello.server_name().map(str::to_owned), alpn)));
        }
    }
    Ok(None)
}

/// Whenever rustls reads a hello we read the same one or call it malformed: never another name,
/// never "no name", never "not TLS".
fn agree_with_rustls(bytes: &[u8]) {
    let Ok(Some((theirs, alpn))) = rustls(bytes) else {
        return;
    };
    match read(bytes) {
        Peek::Malformed(_) => {}
        Peek::Hello(ours) => {
            let name = match &ours.sni {
                Sni::Name(name) => Some(name.as_str()),
                Sni::Absent | Sni::Address(_) => None,
            };
            assert_eq!(name, theirs.as_deref());
            assert_eq!(
                ours.alpn.iter().map(|p| p.to_vec()).collect::<Vec<_>>(),
                alpn
            );
        }
        other => panic!("{other:?} where rustls reads {theirs:?}"),
    }
}

#[test]
fn rustls_reads_the_real_clients_alike() {
    for (client, bytes) in FIXTURES {
        // rustls refuses clients without signature_algorithms.
        let theirs = rustls(bytes);
        let old = client.ends_with("tls10") || client == "gnutls-bare";
        assert_eq!(theirs.is_err(), old, "{client}");
        agree_with_rustls(bytes);
        agree_with_rustls(&in_records(&bytes[5..], 100));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn damaged_hellos_never_read_as_another_name(
        fixture in 0..FIXTURES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = FIXTURES[fixture].1.to_vec();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        agree_with_rustls(&bytes);
    }

    #[test]
    fn any_bytes_in_any_split_give_one_answer(
        start in prop::sample::select(vec![&[][..], &[22, 3], &[22, 3, 1, 0, 80, 1, 0, 0, 76, 3, 3]]),
        rest in prop::collection::vec(any::<u8>(), 0..120),
        piece in 1usize..9,
    ) {
        let bytes = [start, &rest].concat();
        let whole = read(&bytes);
        let mut reader = HelloReader::new(LIMIT);
        let mut last = Peek::NeedMore;
        for end in (0..bytes.len()).step_by(piece).chain([bytes.len()]) {
            last = reader.read(&bytes[..end]);
            if last != Peek::NeedMore {
                break;
            }
        }
        prop_assert_eq!(last, whole);
    }
}
