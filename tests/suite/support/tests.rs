//! The server, the Git host and the Hub themselves: that they fail as they are told to, and notice a leaked token.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::forge::Forge;
use super::hub::Hub;
use super::server::{Gate, Rule, Server};
use super::{PATIENCE, get, in_background};

fn with_hello() -> Server {
    let server = Server::start();
    server.put("/hello", "0123456789");
    server
}

/// The status and body that a request for `/hello` with these headers gets.
fn hello(server: &Server, headers: &[&str]) -> (u16, String) {
    let (head, body) = get(server, "/hello", headers);
    let status = head.get(9..12).unwrap_or("0").parse().unwrap();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[test]
fn a_rule_spoils_an_answer_as_it_says() {
    for (rule, header, body) in [
        (Rule::any(), "content-length: 10", "0123456789"),
        (Rule::any().cut_after(4), "content-length: 10", "0123"),
        (Rule::any().reset_after(0), "content-length: 10", ""),
        (
            Rule::any().declare_length(3),
            "content-length: 3",
            "0123456789",
        ),
        (
            Rule::any().overlong(2),
            "content-length: 10",
            "0123456789xx",
        ),
        (Rule::any().until_close(), "connection: close", "0123456789"),
        (
            Rule::any().chunked(),
            "transfer-encoding: chunked",
            "a\r\n0123456789\r\n0\r\n\r\n",
        ),
        (
            Rule::any().chunked().cut_after(4),
            "transfer-encoding: chunked",
            "4\r\n0123\r\n",
        ),
        (
            Rule::any().flip(1),
            "content-length: 10",
            "0\u{fffd}23456789",
        ),
        (
            Rule::any().throttle(100),
            "content-length: 10",
            "0123456789",
        ),
        (
            Rule::any().status(503).body("busy"),
            "HTTP/1.1 503 ",
            "busy",
        ),
        (Rule::any().redirect(307, "/x"), "location: /x", ""),
        (Rule::any().raw("ICY 200\r\n\r\n?"), "ICY 200", "?"),
        (Rule::any().close(), "", ""),
        (Rule::any().reset(), "", ""),
    ] {
        let server = with_hello();
        server.rule(rule.without_header("etag"));
        let (head, sent) = get(&server, "/hello", &[]);
        assert!(head.contains(header) && !head.contains("etag"), "{head}");
        assert_eq!(String::from_utf8_lossy(&sent), body, "{head}");
    }
}

#[test]
fn rules_are_due_in_order_and_as_often_as_they_say() {
    let server = with_hello();
    server.rule(Rule::path("/hello").times(2).status(503));
    server.rule(Rule::path_ends("llo").nth(2).status(404));
    let statuses = [(); 5].map(|()| hello(&server, &[]).0);
    assert_eq!(statuses, [503, 503, 200, 404, 200]);
    assert_eq!((server.count("/hello"), server.connections()), (5, 5));
}

#[test]
fn ranges_and_conditions_are_answered_as_the_standard_says() {
    let server = with_hello();
    for (range, status, body) in [
        ("bytes=0-0", 206, "0"),
        ("bytes=3-99", 206, "3456789"),
        ("bytes=-3", 206, "789"),
        ("bytes=-30", 206, "0123456789"),
        ("bytes=10-", 416, ""),
        ("bytes=-0", 416, ""),
        ("bytes=5-4", 200, "0123456789"),
        ("bytes=0-1,3-4", 200, "0123456789"),
    ] {
        let answer = hello(&server, &[&format!("range: {range}")]);
        assert_eq!(answer, (status, body.to_owned()), "{range}");
    }
    let (head, _) = get(&server, "/hello", &[]);
    let etag = head.lines().find_map(|line| line.strip_prefix("etag: "));
    let unchanged = format!("if-none-match: \"other\", W/{}", etag.unwrap());
    assert_eq!(hello(&server, &[&unchanged]).0, 304);
    let other = ["range: bytes=1-", "if-range: \"other\""];
    assert_eq!(hello(&server, &other).0, 200);
}

#[test]
fn a_server_that_is_dropped_ends_every_answer() {
    let server = Arc::new(with_hello());
    let closed = Gate::new();
    server.rule(Rule::any().nth(1).stall());
    server.rule(Rule::any().nth(1).hold(&closed));
    server.rule(Rule::any().nth(1).delay(Duration::from_secs(3600)));
    server.rule(Rule::any().throttle(1));
    let clients = [(); 4].map(|()| {
        let server = Arc::downgrade(&server);
        let port = server.upgrade().unwrap().port();
        in_background(move || super::get_from(port, "/hello", &[]))
    });
    assert!(server.wait_for("/hello", 4, PATIENCE));
    drop(Arc::into_inner(server).unwrap());
    for client in clients {
        client.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn git_reads_the_refs_of_the_host() {
    let forge = Forge::start();
    let repo = forge.repo("o/models");
    let first = repo.commit("develop", [("a", "1")]);
    let second = repo.commit("release/6.5", [("a", "2")]);
    repo.tag("old", &first);
    let tag = repo.annotated_tag("v1", &second);
    repo.pull_request(7, &second);
    let url = format!("{}/o/models.git", forge.url());
    let Ok(listed) = Command::new("git")
        .args(["ls-remote", "--symref", &url])
        .output()
    else {
        return;
    };
    let expected = format!(
        "ref: refs/heads/develop\tHEAD\n{first}\tHEAD\n{first}\trefs/heads/develop\n\
         {second}\trefs/heads/release/6.5\n{second}\trefs/pull/7/head\n{first}\trefs/tags/old\n\
         {tag}\trefs/tags/v1\n{second}\trefs/tags/v1^{{}}\n"
    );
    assert_eq!(String::from_utf8_lossy(&listed.stdout), expected);
}

#[test]
fn a_token_that_is_sent_to_the_storage_fails_the_test() {
    let (forge, hub) = (Forge::start(), Hub::start());
    let repo = forge.repo("o/m");
    repo.commit("main", [("a", "1")]);
    repo.release("v1", [("a.zip", "1")]);
    hub.repo("o/m").commit("main", [("a.bin", "1")]);
    let secret = ["authorization: Bearer secret"];
    let asset = "/o/m/releases/download/v1/a.zip";
    for (server, path) in [
        (forge.server(), asset),
        (hub.server(), "/o/m/resolve/main/a.bin"),
    ] {
        let (head, _) = get(server, path, &[]);
        let place = head
            .lines()
            .find_map(|line| line.strip_prefix("location: "))
            .unwrap();
        let place = place.strip_prefix(&server.localhost_url()).unwrap();
        assert_eq!(get(server, place, &[]).1, b"1");
        assert_eq!(get(server, place, &secret).1, b"");
    }
    assert!(catch_unwind(AssertUnwindSafe(|| drop(forge))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(hub))).is_err());
}
