//! The server, the Git host and the Hub themselves: that they fail as they are told to, and notice a leaked token.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use super::forge::Forge;
use super::get;
use super::hub::Hub;
use super::server::{Rule, Server};

fn with_hello() -> Server {
    let server = Server::start();
    server.put("/hello", "0123456789");
    server
}

#[test]
fn a_rule_spoils_an_answer_as_it_says() {
    for (rule, header, body) in [
        (Rule::any(), "content-length: 10", "0123456789"),
        (Rule::any().cut_after(4), "content-length: 10", "0123"),
        // Some systems drop what has arrived before a reset, but nobody has read yet.
        (Rule::any().reset_after(0), "", ""),
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
    let heads = [(); 5].map(|()| get(&server, "/hello", &[]).0);
    let statuses = heads.each_ref().map(|head| &head[9..12]);
    assert_eq!(statuses, ["503", "503", "200", "404", "200"]);
    assert_eq!((server.count("/hello"), server.connections()), (5, 5));
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
