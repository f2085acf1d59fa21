//! The server, asked by hand over raw sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::site::parse_range;
use super::{Gate, Page, Rule, Server};

const SOON: Duration = Duration::from_secs(10);

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, request: &str) {
    stream
        .write_all(format!("{request}\r\n\r\n").as_bytes())
        .unwrap();
}

/// Sends one request on a connection of its own and returns what comes until the server closes it.
fn fetch(server: &Server, request: &str) -> String {
    let mut stream = connect(server);
    let (line, headers) = request.split_once("\r\n").unwrap_or((request, ""));
    ask(
        &mut stream,
        format!("{line} HTTP/1.1\r\nconnection: close\r\n{headers}").trim_end(),
    );
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads one answer with a Content-Length from a connection kept alive.
fn read_one(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn with_hello() -> Server {
    let server = Server::start();
    server.put("/hello", "0123456789");
    server
}

#[test]
fn serves_folders_and_entries_on_one_connection() {
    let folder = std::env::temp_dir().join(format!("server-test-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("sub dir")).unwrap();
    let big: Vec<u8> = (0..700_001_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(folder.join("sub dir/ä.bin"), &big).unwrap();
    let server = with_hello().folder(&folder);
    server.put("/list?page=2", "second");

    let mut stream = connect(&server);
    for _ in 0..3 {
        ask(&mut stream, "GET /sub%20dir/%C3%A4.bin?x=%20 HTTP/1.1");
        let (head, body) = read_one(&mut stream);
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("accept-ranges: bytes\r\n"),
            "{head}"
        );
        assert!(body == big);
    }
    ask(
        &mut stream,
        "GET /sub%20dir/%C3%A4.bin HTTP/1.1\r\nRange: bytes=700000-",
    );
    assert_eq!(read_one(&mut stream).1, big[700_000..]);
    ask(
        &mut stream,
        "POST /hello HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcGET /list?page=2 HTTP/1.1",
    );
    assert!(read_one(&mut stream).0.starts_with("HTTP/1.1 405 "));
    assert_eq!(read_one(&mut stream).1, b"second");
    drop(stream);
    for missing in [
        "/list",
        "/sub%20dir",
        "/../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/nothing",
    ] {
        assert!(
            fetch(&server, &format!("GET {missing}")).starts_with("HTTP/1.1 404 "),
            "{missing}"
        );
    }
    let answer = fetch(&server, "HEAD http://elsewhere/hello");
    assert!(
        answer.contains("content-length: 10\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    std::fs::remove_dir_all(&folder).unwrap();

    let requests = server.requests();
    assert_eq!(requests[0].path, "/sub dir/ä.bin?x=%20");
    assert_eq!(
        (requests[0].path_only(), requests[0].status),
        ("/sub dir/ä.bin", 200)
    );
    assert_eq!(
        (requests[3].header("range"), requests[3].body_bytes),
        (Some("bytes=700000-"), 1)
    );
    assert_eq!((requests[0].connection, requests[11].connection), (1, 7));
    assert_eq!(
        (
            server.count("/sub dir/"),
            server.connections(),
            server.max_in_flight()
        ),
        (4, 7, 1)
    );
    server.reset_counts();
    assert_eq!(
        (
            server.requests().len(),
            server.connections(),
            server.bytes_sent()
        ),
        (0, 0, 0)
    );
}

#[test]
fn understands_ranges_and_conditions() {
    for (range, size, expected) in [
        ("bytes=0-0", 10, Some(Some((0, 0)))),
        ("bytes=3-99", 10, Some(Some((3, 9)))),
        ("bytes=3-", 10, Some(Some((3, 9)))),
        ("bytes=-3", 10, Some(Some((7, 9)))),
        ("bytes=-30", 10, Some(Some((0, 9)))),
        ("bytes=10-", 10, Some(None)),
        ("bytes=-0", 10, Some(None)),
        ("bytes=0-", 0, Some(None)),
        ("bytes=5-4", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("lines=0-1", 10, None),
    ] {
        assert_eq!(parse_range(range, size), expected, "{range} of {size}");
    }
    let server = with_hello();
    let answer = fetch(&server, "GET /hello\r\nRange: bytes=2-4");
    assert!(
        answer.contains("HTTP/1.1 206 ") && answer.contains("content-range: bytes 2-4/10\r\n"),
        "{answer}"
    );
    assert_eq!(body(&answer), "234");
    let etag = answer
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap();
    let answer = fetch(&server, "GET /hello\r\nRange: bytes=10-");
    assert!(
        answer.contains(" 416 ") && answer.contains("content-range: bytes */10\r\n"),
        "{answer}"
    );
    assert!(
        fetch(
            &server,
            &format!("GET /hello\r\nRange: bytes=1-\r\nIf-Range: {etag}")
        )
        .contains(" 206 ")
    );
    assert!(
        fetch(
            &server,
            "GET /hello\r\nRange: bytes=1-\r\nIf-Range: \"other\""
        )
        .contains(" 200 ")
    );
    let unchanged = format!("GET /hello\r\nIf-None-Match: \"other\", W/{etag}");
    assert!(fetch(&server, &unchanged).starts_with("HTTP/1.1 304 "));
    server.put("/hello", "changed");
    assert!(fetch(&server, &unchanged).ends_with("\r\n\r\nchanged"));
    server.remove("/hello");
    assert!(fetch(&server, &unchanged).contains(" 404 "));
}

#[test]
fn rules_apply_in_order_and_as_often_as_told() {
    let server = with_hello();
    server
        .rule(
            Rule::path("/hello")
                .method("GET")
                .times(2)
                .status(503)
                .header("retry-after", "1")
                .body("busy"),
        )
        .rule(
            Rule::path_ends("llo")
                .nth(2)
                .redirect(307, "http://localhost/elsewhere"),
        )
        .rule(Rule::path_starts("/never").status(500));
    let answers: Vec<_> = (0..5).map(|_| fetch(&server, "GET /hello?q")).collect();
    assert!(
        answers[0].contains("retry-after: 1\r\n") && body(&answers[0]) == "busy",
        "{}",
        answers[0]
    );
    assert!(
        answers[3].contains("location: http://localhost/elsewhere\r\n"),
        "{}",
        answers[3]
    );
    let statuses: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.status)
        .collect();
    assert_eq!(statuses, [503, 503, 200, 307, 200]);
    server.clear_rules();
    assert!(fetch(&server, "GET /never").contains(" 404 "));
}

#[test]
fn bodies_go_wrong_as_told() {
    let cases = [
        (Rule::any().cut_after(4), "content-length: 10\r\n", "0123"),
        (
            Rule::any().declare_length(3),
            "content-length: 3\r\n",
            "0123456789",
        ),
        (
            Rule::any().overlong(2),
            "content-length: 10\r\n",
            "0123456789xx",
        ),
        (
            Rule::any().until_close(),
            "connection: close\r\n",
            "0123456789",
        ),
        (
            Rule::any().chunked().cut_after(4),
            "transfer-encoding: chunked\r\n",
            "4\r\n0123\r\n",
        ),
        (Rule::any().chunked(), "", "a\r\n0123456789\r\n0\r\n\r\n"),
        (Rule::any().flip(1), "", "0\u{fffd}23456789"),
        (Rule::any().throttle(100), "", "0123456789"),
        (
            Rule::any().html(),
            "content-type: text/html",
            "<!DOCTYPE html>\n<html><body>Please sign in.</body></html>\n",
        ),
        (
            Rule::any().huge_header(100_000),
            &"x".repeat(100_000),
            "0123456789",
        ),
        (Rule::any().status(204), "HTTP/1.1 204 ", ""),
    ];
    for (rule, header, expected) in cases {
        let server = with_hello();
        server.rule(rule.without_header("etag"));
        let answer = fetch(&server, "GET /hello");
        assert!(
            answer.contains(header) && !answer.contains("etag"),
            "{answer}"
        );
        assert_eq!(body(&answer), expected);
    }

    let server = with_hello();
    server
        .rule(Rule::any().nth(1).ignore_range())
        .rule(Rule::any().wrong_content_range("bytes 0-2/10"));
    assert!(fetch(&server, "GET /hello\r\nRange: bytes=2-4").ends_with("0123456789"));
    let answer = fetch(&server, "GET /hello\r\nRange: bytes=2-4");
    assert!(
        answer.contains("content-range: bytes 0-2/10\r\n") && body(&answer) == "234",
        "{answer}"
    );
}

#[test]
fn a_program_answers_what_was_not_placed() {
    let server = with_hello();
    server.program(|request| match request.path_only() {
        "/made" => Some(Page::file((*b"0123456789").into(), "\"1\"").streamed()),
        "/hello" | "/refused" => Some(Page::new(403, *b"no").header("x-reason", "none")),
        _ => None,
    });
    assert_eq!(body(&fetch(&server, "GET /hello")), "0123456789");
    let answer = fetch(&server, "GET /refused\r\nRange: bytes=0-0");
    assert!(
        answer.starts_with("HTTP/1.1 403 ") && answer.contains("x-reason: none\r\n"),
        "{answer}"
    );
    let answer = fetch(&server, "GET /made\r\nRange: bytes=0-0");
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && !answer.contains("accept-ranges"),
        "{answer}"
    );
    assert_eq!(body(&answer), "a\r\n0123456789\r\n0\r\n\r\n");
    let unchanged = "GET /made\r\nIf-None-Match: \"1\"";
    assert!(fetch(&server, unchanged).contains(" 304 "));
    assert!(fetch(&server, "GET /none").contains(" 404 "));
    server.rule(Rule::path("/made").cut_after(4));
    assert_eq!(body(&fetch(&server, "GET /made")), "4\r\n0123\r\n");
}

#[test]
fn connections_go_wrong_as_told() {
    let server = with_hello();
    server
        .rule(Rule::path("/close").close())
        .rule(Rule::path("/raw").raw("ICY 200 what\n\n"))
        .rule(Rule::path("/reset").reset())
        .rule(Rule::path("/hello").reset_after(4))
        .rule(Rule::path("/endless").endless());
    assert_eq!(fetch(&server, "GET /close"), "");
    assert_eq!(fetch(&server, "GET /raw"), "ICY 200 what\n\n");
    for path in ["/reset", "/hello"] {
        let mut stream = connect(&server);
        ask(&mut stream, &format!("GET {path} HTTP/1.1"));
        let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(
            matches!(
                error.kind(),
                ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
            ),
            "{error}"
        );
    }
    let mut stream = connect(&server);
    ask(&mut stream, "GET /endless HTTP/1.1");
    stream.read_exact(&mut vec![0; 3_000_000]).unwrap();
    assert!(server.bytes_sent() > 2_900_000);
}

#[test]
fn gates_and_callbacks_force_the_order() {
    let (server, gate) = (with_hello(), Gate::new());
    let (sender, arrived) = mpsc::channel();
    let (half_sender, half) = mpsc::channel();
    server.rule(
        Rule::any()
            .on_request(move || sender.send(()).unwrap())
            .on_bytes(5, move || half_sender.send(()).unwrap())
            .hold_after(5, &gate),
    );
    thread::scope(|scope| {
        let clients = [(); 2].map(|()| scope.spawn(|| fetch(&server, "GET /hello")));
        for _ in 0..2 {
            arrived.recv_timeout(SOON).unwrap();
            half.recv_timeout(SOON).unwrap();
        }
        assert!(server.wait_for("/hello", 2, Duration::ZERO));
        assert!(!server.wait_for("/hello", 3, Duration::ZERO));
        assert_eq!((server.bytes_sent(), server.max_in_flight()), (10, 2));
        assert!(!gate.wait(Duration::ZERO));
        gate.open();
        for client in clients {
            assert_eq!(body(&client.join().unwrap()), "0123456789");
        }
    });
    assert_eq!(server.bytes_sent(), 20);
}

#[test]
fn stopping_ends_whatever_is_under_way() {
    let server = with_hello();
    let closed = Gate::new();
    server
        .rule(Rule::path("/stall").stall())
        .rule(Rule::path("/stall-after").body("0123").stall_after(2))
        .rule(Rule::path("/hold").hold(&closed))
        .rule(Rule::path("/delay").delay(Duration::from_secs(3600)))
        .rule(Rule::path("/throttle").body("0123").throttle(1))
        .rule(Rule::path("/endless").endless());
    let mut streams = vec![connect(&server)];
    // Not every system wakes a write that waits for its reader when the connection is shut down.
    let writing = if cfg!(windows) {
        None
    } else {
        Some("/endless")
    };
    let waiting = ["/stall", "/stall-after", "/hold", "/delay", "/throttle"];
    for path in waiting.into_iter().chain(writing) {
        let mut stream = connect(&server);
        ask(&mut stream, &format!("GET {path} HTTP/1.1"));
        assert!(server.wait_for(path, 1, SOON));
        streams.push(stream);
    }
    assert_eq!(server.max_in_flight(), streams.len() - 1);
    let shared = std::sync::Arc::downgrade(&server.shared);
    drop(server);
    assert!(shared.upgrade().is_none(), "a thread outlived the server");
    for mut stream in streams {
        // Closed or reset, but not left open.
        if let Err(error) = stream.read_to_end(&mut Vec::new()) {
            assert!(
                !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                "{error}"
            );
        }
    }
}

#[test]
fn answers_on_localhost_beside_another_server() {
    let (first, second) = (with_hello(), Server::start());
    second.rule(Rule::any().redirect(302, &format!("{}/hello", first.localhost_url())));
    let location = format!("location: {}/hello\r\n", first.localhost_url());
    assert!(fetch(&second, "GET /x").contains(&location));
    let url = first.localhost_url();
    let authority = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(authority).unwrap();
    ask(&mut stream, "GET /hello HTTP/1.0\r\nConnection: close");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(body(&answer), "0123456789");
    assert_ne!(first.url(), second.url());
}

#[test]
fn a_panic_in_a_callback_is_not_lost() {
    let server = with_hello();
    server.rule(Rule::any().on_request(|| panic!("meant to fail")));
    let mut stream = connect(&server);
    ask(&mut stream, "GET /hello HTTP/1.1");
    let _ = stream.read_to_end(&mut Vec::new());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(server))).is_err());
}
