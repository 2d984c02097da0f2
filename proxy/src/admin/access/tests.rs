use http::HeaderValue;
use http::header::{AUTHORIZATION, COOKIE};
use jiff::Timestamp;

use super::*;
use crate::reload::on_disk::OnDisk;

const SECRET: &str = "a-token-of-thirty-two-characters";

const CLEAR: Visitor = Visitor {
    over_tls: false,
    certified: false,
};
const CERTIFIED: Visitor = Visitor {
    over_tls: true,
    certified: true,
};
const OVER_TLS: Visitor = Visitor {
    over_tls: true,
    certified: false,
};

/// A token in a file, and the file's directory.
fn token(text: &str) -> (tempfile::TempDir, Arc<Token>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, text).unwrap();
    let token = Token::start(&path).unwrap();
    (dir, token)
}

fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
}

fn bearing(text: &str) -> HeaderMap {
    headers(AUTHORIZATION, text)
}

/// The cookie that a browser sends back.
fn sent_back(set_cookie: &str) -> HeaderMap {
    headers(COOKIE, set_cookie.split(';').next().unwrap())
}

fn standing(access: &Access, headers: &HeaderMap) -> Standing {
    access.standing(CLEAR, headers)
}

#[test]
fn what_is_asked_for_follows_from_the_file() {
    let (_dir, secret) = token(SECRET);
    let secret = Some(secret);
    let (optional, required) = (Some(Demand::Optional), Some(Demand::Required));
    let out = Standing::Out;
    for (is_local, token, certificate, visitor, expected) in [
        (true, None, None, CLEAR, Standing::In),
        (false, None, None, CLEAR, Standing::Shut),
        (false, None, None, OVER_TLS, Standing::Shut),
        (true, secret.clone(), None, CLEAR, out(Needs::Token)),
        (false, secret.clone(), None, OVER_TLS, out(Needs::Token)),
        (false, None, required, CERTIFIED, Standing::In),
        (false, None, optional, CERTIFIED, Standing::In),
        (false, None, optional, OVER_TLS, out(Needs::Certificate)),
        (true, None, optional, OVER_TLS, out(Needs::Certificate)),
        (false, secret.clone(), optional, CERTIFIED, Standing::In),
        (false, secret.clone(), optional, OVER_TLS, out(Needs::Token)),
        // Whoever is required to show a certificate is asked for the token beside it.
        (
            false,
            secret.clone(),
            required,
            CERTIFIED,
            out(Needs::Token),
        ),
    ] {
        let access = Access::new(is_local, token, certificate);
        let standing = access.standing(visitor, &HeaderMap::new());
        assert_eq!(standing, expected, "{is_local} {certificate:?} {visitor:?}");
    }
}

#[test]
fn the_token_is_good_as_it_is_and_in_no_other_form() {
    let (_dir, secret) = token(&format!("{SECRET}\n"));
    let access = Access::new(false, Some(secret), None);
    let standing = |value: &str| access.standing(CLEAR, &bearing(value));
    for good in ["Bearer", "bearer", "BEARER"] {
        assert_eq!(standing(&format!("{good} {SECRET}")), Standing::In);
    }
    for wrong in [
        SECRET[..31].to_owned(),
        format!("{SECRET}x"),
        SECRET.to_uppercase(),
        "x".repeat(100_000),
        String::new(),
    ] {
        assert_eq!(standing(&format!("Bearer {wrong}")), Standing::Wrong);
        assert_eq!(access.sign_in(wrong.as_bytes(), CLEAR), None);
    }
    for none in [SECRET, "Basic YTpi", "Bearer", "b"] {
        assert_eq!(standing(none), Standing::Out(Needs::Token), "{none}");
    }
    let shown = format!("{access:?}");
    assert!(!shown.contains(SECRET), "{shown}");
}

#[test]
fn a_session_is_no_token_and_good_in_its_own_process_alone() {
    let (_dir, secret) = token(SECRET);
    let access = Access::new(false, Some(Arc::clone(&secret)), None);
    let cookie = access
        .sign_in(format!("{SECRET}\r\n").as_bytes(), CLEAR)
        .unwrap();
    assert!(cookie.starts_with("octroi="), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"),
        "{cookie}"
    );
    assert!(!cookie.contains(SECRET));
    let kept = sent_back(&cookie);
    assert_eq!(standing(&access, &kept), Standing::In);
    let among = headers(
        COOKIE,
        &format!("a=b; {}; c=d", cookie.split(';').next().unwrap()),
    );
    assert_eq!(standing(&access, &among), Standing::In);
    assert_ne!(access.sign_in(SECRET.as_bytes(), CLEAR).unwrap(), cookie);

    let another = Access::new(false, Some(secret), None);
    assert_eq!(standing(&another, &kept), Standing::Out(Needs::Token));
    // One bit more or less, cut short, longer, or nothing of ours.
    let value = cookie.split(['=', ';']).nth(1).unwrap();
    for at in 0..value.len() {
        let mut bytes = value.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(bytes).unwrap();
        let headers = headers(COOKIE, &format!("octroi={other}"));
        assert_eq!(
            standing(&access, &headers),
            Standing::Out(Needs::Token),
            "{at}"
        );
    }
    for other in [
        "",
        &value[1..],
        &format!("{value}AAAA"),
        &"A".repeat(10_000),
    ] {
        let headers = headers(COOKIE, &format!("octroi={other}"));
        assert_eq!(
            standing(&access, &headers),
            Standing::Out(Needs::Token),
            "{other}"
        );
    }
    // In clear what was given over TLS is nothing, and the other way round.
    let secure = access.sign_in(SECRET.as_bytes(), OVER_TLS).unwrap();
    assert!(
        secure.starts_with("__Host-octroi=") && secure.ends_with("; Secure"),
        "{secure}"
    );
    assert_eq!(access.standing(OVER_TLS, &sent_back(&secure)), Standing::In);
    assert_eq!(
        access.standing(CLEAR, &sent_back(&secure)),
        Standing::Out(Needs::Token)
    );
    assert_eq!(
        access.standing(OVER_TLS, &kept),
        Standing::Out(Needs::Token)
    );
}

#[test]
fn a_session_ends_when_it_is_ended_and_by_itself() {
    let (_dir, secret) = token(SECRET);
    let mut access = Access::new(false, Some(secret), None);
    let sign_in = |access: &Access| sent_back(&access.sign_in(SECRET.as_bytes(), CLEAR).unwrap());
    let (one, other) = (sign_in(&access), sign_in(&access));
    let cleared = access.sign_out(CLEAR, &one);
    assert!(
        cleared.starts_with("octroi=; Path=/; Max-Age=0"),
        "{cleared}"
    );
    assert_eq!(access.standing(CLEAR, &one), Standing::Out(Needs::Token));
    assert_eq!(access.standing(CLEAR, &other), Standing::In);

    // Neither what was never begun nor the same again takes room, and there is only so much.
    access.sign_out(CLEAR, &headers(COOKIE, "octroi=nothing"));
    access.sign_out(CLEAR, &one);
    assert_eq!(access.sessions.ended().len(), 1);
    for _ in 0..MOST_ENDED + 10 {
        access.sign_out(CLEAR, &sign_in(&access));
    }
    assert_eq!(access.sessions.ended().len(), MOST_ENDED);

    // Twelve hours later.
    let started = access.sessions.started;
    access.sessions.started = started.checked_sub(LIFE).unwrap();
    assert_eq!(access.standing(CLEAR, &other), Standing::Out(Needs::Token));
    let late = sign_in(&access);
    access.sign_out(CLEAR, &late);
    assert_eq!(
        access.sessions.ended().len(),
        1,
        "what is over is forgotten"
    );
}

#[test]
fn a_new_token_ends_the_sessions_of_the_old_one_and_a_broken_one_changes_nothing() {
    let (dir, secret) = token(SECRET);
    let access = Access::new(false, Some(Arc::clone(&secret)), None);
    let session = sent_back(&access.sign_in(SECRET.as_bytes(), CLEAR).unwrap());
    let path = dir.path().join("token");
    let now = Timestamp::UNIX_EPOCH;
    for broken in ["", "short", "with a blank in it and more than thirty-two"] {
        std::fs::write(&path, broken).unwrap();
        secret.read_anew(now);
        assert_eq!(access.standing(CLEAR, &session), Standing::In, "{broken}");
    }
    std::fs::remove_file(&path).unwrap();
    secret.read_anew(now);
    assert_eq!(access.standing(CLEAR, &session), Standing::In);
    let next = SECRET.replace("thirty", "fourty");
    std::fs::write(&path, &next).unwrap();
    secret.read_anew(now);
    assert_eq!(
        access.standing(CLEAR, &session),
        Standing::Out(Needs::Token)
    );
    assert_eq!(
        access.standing(CLEAR, &bearing(&format!("Bearer {SECRET}"))),
        Standing::Wrong
    );
    assert_eq!(
        access.standing(CLEAR, &bearing(&format!("Bearer {next}"))),
        Standing::In
    );
}

#[tokio::test]
async fn guesses_wait_their_turn() {
    let access = Access::new(false, None, None);
    let began = Instant::now();
    tokio::join!(access.slow(), access.slow(), access.slow());
    assert!(began.elapsed() >= 3 * SLOW, "{:?}", began.elapsed());
}
