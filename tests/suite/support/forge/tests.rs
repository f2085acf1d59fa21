//! The host, asked by hand over raw sockets.

use std::io::{Cursor, Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use zip::ZipArchive;

use super::models::{Hashes, ModelsToml, below, models_of, real_models, small_models};
use super::{Forge, zip, zip_stored};

const SOON: Duration = Duration::from_secs(10);

/// An answer: status line and headers as text, and the body without its framing.
struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find_map(|(key, value)| (key == name).then_some(value))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Sends one request with more headers, each with a line end behind it, on a connection of its own.
fn ask(forge: &Forge, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", forge.server().port())).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nuser-agent: test\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let mut body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap();
    if head.contains("transfer-encoding: chunked\r\n") {
        body = unchunked(&body);
    }
    Answer { head, body }
}

fn get(forge: &Forge, path: &str) -> Answer {
    ask(forge, path, "")
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.iter().position(|byte| *byte == b'\r').unwrap();
        let digits = std::str::from_utf8(&rest[..end]).unwrap();
        let length = usize::from_str_radix(digits, 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 2 + length + 2..];
    }
}

/// Cuts pkt-lines by their lengths; a flush is `None`.
fn packets(mut text: &str) -> Vec<Option<&str>> {
    let mut packets = Vec::new();
    while !text.is_empty() {
        let length = usize::from_str_radix(&text[..4], 16).unwrap();
        packets.push((length > 0).then(|| &text[4..length]));
        text = &text[length.max(4)..];
    }
    packets
}

fn names(zip: &[u8]) -> Vec<String> {
    let archive = ZipArchive::new(Cursor::new(zip)).unwrap();
    let names = archive.file_names().map(|name| name.unwrap().into_owned());
    names.collect()
}

const REFS: &str = "/o/models.git/info/refs?service=git-upload-pack";

#[test]
fn advertises_refs_in_packets() {
    let forge = Forge::start();
    let repo = forge.repo("o/models");
    let nothing = get(&forge, REFS);
    assert!(
        packets(nothing.text())[2]
            .unwrap()
            .starts_with("0000000000000000000000000000000000000000 capabilities^{}\0multi_ack ")
    );

    let first = repo.commit("develop", [("a", "1")]);
    let second = repo.commit("release/6.5", [("a", "2")]);
    repo.tag("old", &first);
    let tag = repo.annotated_tag("v1", &second);
    repo.pull_request(7, &second);
    let answer = get(&forge, REFS);
    assert_eq!(
        answer.header("content-type"),
        Some("application/x-git-upload-pack-advertisement")
    );
    let packets = packets(answer.text());
    let (head, capabilities) = packets[2].unwrap().split_once('\0').unwrap();
    assert_eq!(head, format!("{first} HEAD"));
    assert!(capabilities.ends_with(" symref=HEAD:refs/heads/develop\n"));
    assert_eq!(packets[..2], [Some("# service=git-upload-pack\n"), None]);
    let rest = [
        format!("{first} refs/heads/develop\n"),
        format!("{second} refs/heads/release/6.5\n"),
        format!("{second} refs/pull/7/head\n"),
        format!("{first} refs/tags/old\n"),
        format!("{tag} refs/tags/v1\n"),
        format!("{second} refs/tags/v1^{{}}\n"),
    ];
    let rest = rest.iter().map(|line| Some(line.as_str()));
    assert_eq!(packets[3..], rest.chain([None]).collect::<Vec<_>>());

    assert_eq!(get(&forge, "/o/models/info/refs").status(), 403);
    let unknown = REFS.replace("models", "others");
    assert_eq!(get(&forge, &unknown).status(), 404);
    forge.ask_to_sign_in();
    assert_eq!(get(&forge, &unknown).status(), 401);
    assert_eq!(get(&forge, REFS).status(), 200);
}

#[test]
fn serves_files_at_refs() {
    let forge = Forge::start();
    let repo = forge.repo("o/models");
    let first = repo.commit("develop", [("mf6/a/ä b.nam", "1"), ("gone", "1")]);
    let same = forge
        .repo("o/fork")
        .commit("main", [("mf6/a/ä b.nam", "1"), ("gone", "1")]);
    assert_eq!(first, same, "a hash follows from what is committed");
    repo.tag("v/1", &first);
    let second = repo.commit_with("develop", [("mf6/a/ä b.nam", "2")]);
    assert_ne!(first, second);
    repo.commit_without("develop", &["gone"]);
    for (reference, expected) in [
        ("develop", "2"),
        ("refs/heads/develop", "2"),
        ("v/1", "1"),
        ("refs/tags/v/1", "1"),
        (&first, "1"),
        (&second, "2"),
        ("HEAD", "2"),
    ] {
        let path = format!("/O/Models/raw/{reference}/mf6/a/%C3%A4%20b.nam");
        assert_eq!(get(&forge, &path).text(), expected, "{reference}");
    }
    let file = format!("/o/models/raw/{second}/gone");
    let answer = ask(&forge, &file, "range: bytes=0-0\r\n");
    assert_eq!((answer.status(), answer.text()), (206, "1"));
    let unchanged = format!("if-none-match: {}\r\n", answer.header("etag").unwrap());
    assert_eq!(ask(&forge, &file, &unchanged).status(), 304);
    repo.delete_branch("develop");
    assert_eq!(get(&forge, &file).status(), 200);
    let short = format!("/o/models/raw/{}/gone", &second[..7]);
    for missing in [
        "/o/models/raw/develop/gone",
        "/o/models/raw/v/1/none",
        &short,
        "/o/x/raw/a/b",
    ] {
        assert_eq!(get(&forge, missing).status(), 404, "{missing}");
    }
}

#[test]
fn packs_trees_below_one_folder() {
    let forge = Forge::start();
    let repo = forge.repo("o/models");
    let commit = repo.commit("feat/x", [("a/b/c.txt", "c"), ("a/d.txt", "d"), ("e", "e")]);
    let answer = ask(
        &forge,
        "/o/models/archive/feat/x.zip",
        "range: bytes=0-3\r\n",
    );
    assert_eq!(
        (answer.status(), answer.header("content-length")),
        (200, None)
    );
    assert_eq!(answer.header("accept-ranges"), None);
    let top = "models-feat-x";
    let inside = ["", "a/", "a/b/", "a/b/c.txt", "a/d.txt", "e"];
    assert_eq!(
        names(&answer.body),
        inside.map(|name| format!("{top}/{name}"))
    );
    let again = get(&forge, "/o/models/archive/refs/heads/feat/x.zip");
    assert!(again.body == answer.body);
    let zipball = get(&forge, "/api/v3/repos/o/models/zipball/feat/x");
    assert_eq!(
        names(&zipball.body)[0],
        format!("o-models-{}/", &commit[..7])
    );
    assert_eq!(forge.api_requests(), 1);
    assert_eq!(get(&forge, "/o/models/archive/none.zip").status(), 404);
    forge.keep_archives();
    let answer = ask(
        &forge,
        "/o/models/archive/feat/x.zip",
        "range: bytes=0-3\r\n",
    );
    assert_eq!(
        (answer.status(), answer.body.as_slice()),
        (206, &b"PK\x03\x04"[..])
    );
}

#[test]
fn hands_assets_out_from_another_host() {
    let forge = Forge::start();
    let repo = forge.repo("o/models");
    let commit = repo.commit("main", [("a", "1")]);
    repo.release(
        "current",
        [("models.toml", "x = 1"), ("ä models.zip", "0123456789")],
    );
    let answer = get(
        &forge,
        "/o/models/releases/download/current/%C3%A4%20models.zip",
    );
    assert_eq!(answer.status(), 302);
    let storage = forge.server().localhost_url();
    let target = answer.header("location").unwrap();
    let target = target.strip_prefix(&storage).unwrap();
    let answer = ask(&forge, target, "range: bytes=2-4\r\n");
    assert_eq!((answer.status(), answer.text()), (206, "234"));
    let unsigned = target.split_once('?').unwrap().0;
    assert_eq!(get(&forge, unsigned).status(), 403);
    for missing in ["current/none", "other/models.zip", "models.zip"] {
        let path = format!("/o/models/releases/download/{missing}");
        assert_eq!(get(&forge, &path).status(), 404);
    }
    let api = "/api/v3/repos/o/models/releases/tags";
    let answer = get(&forge, &format!("{api}/current"));
    assert_eq!(
        answer.text(),
        r#"{"assets":[{"name":"models.toml","size":5},{"name":"ä models.zip","size":10}],"draft":false,"tag_name":"current"}"#
    );
    assert_eq!(get(&forge, &format!("{api}/none")).status(), 404);
    assert!(
        get(&forge, REFS)
            .text()
            .contains(&format!("{commit} refs/tags/current\n"))
    );

    let leak = "authorization: Bearer secret\r\n";
    let leaked = catch_unwind(AssertUnwindSafe(|| ask(&forge, target, leak)));
    assert!(leaked.is_err(), "the storage answered");
    assert!(catch_unwind(AssertUnwindSafe(|| drop(forge))).is_err());
}

#[test]
fn names_commits_until_the_limit() {
    let forge = Forge::start();
    let repo = forge.repo("o/models");
    let commit = repo.commit("feat/x", [("a", "1")]);
    let path = |reference: &str| format!("/api/v3/repos/o/models/commits/{reference}");
    for reference in ["feat/x", &commit, &commit[..7]] {
        let answer = ask(
            &forge,
            &path(reference),
            "accept: application/vnd.github.sha\r\n",
        );
        assert_eq!(answer.text(), commit);
        let answer = get(&forge, &path(reference));
        assert_eq!(answer.text(), format!("{{\"sha\":\"{commit}\"}}"));
    }
    assert_eq!(get(&forge, &path("none")).status(), 422);
    assert_eq!(get(&forge, &path(&commit[..3])).status(), 422);
    forge.limit_api(1);
    let answers = [(); 2].map(|()| get(&forge, &path("feat/x")));
    assert_eq!(answers.each_ref().map(Answer::status), [200, 403]);
    for answer in &answers {
        assert_eq!(answer.header("x-ratelimit-remaining"), Some("0"));
    }
    assert!(
        answers[1]
            .header("x-ratelimit-reset")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 600
    );
    assert_eq!(
        (forge.api_requests(), get(&forge, REFS).status()),
        (10, 200)
    );
}

#[test]
fn hides_what_is_private() {
    let forge = Forge::start();
    let repo = forge.repo("o/models");
    repo.commit("main", [("a", "1")]);
    repo.require_token("secret");
    let basic = "authorization: Basic eC1hY2Nlc3MtdG9rZW46c2VjcmV0\r\n";
    let bearer = "authorization: Bearer secret\r\n";
    let wrong = "authorization: Bearer other\r\n";
    for (path, statuses) in [
        (REFS, [404, 200, 404, 404]),
        ("/o/models/raw/main/a", [404, 200, 200, 404]),
        ("/o/models/archive/main.zip", [404, 200, 200, 404]),
        ("/api/v3/repos/o/models/commits/main", [404, 200, 200, 401]),
    ] {
        let asked = ["", basic, bearer, wrong].map(|headers| ask(&forge, path, headers).status());
        assert_eq!(asked, statuses, "{path}");
    }
}

#[test]
fn lists_models_as_strictly_as_told() {
    let files = small_models();
    let models = models_of(&files);
    let sizes: Vec<_> = models
        .iter()
        .map(|(name, files)| (name.as_str(), files.len()))
        .collect();
    let expected = [
        ("ex-gwf-twri01", 3),
        ("ex-gwt-keating/flow", 2),
        ("test001a_Tharmonic", 3),
    ];
    assert_eq!((sizes.as_slice(), files.len()), (&expected[..], 9));

    let whole = ModelsToml::of(&files)
        .root("mf6")
        .example("ex-gwf", &["ex-gwf-twri01"])
        .urls_below("https://example.org/mf6/")
        .prefix_models("test/")
        .text();
    let table: toml::Table = whole.parse().unwrap();
    let note = &table["files"]["test001a_Tharmonic/grösse 2.txt"];
    assert_eq!(note["size"].as_integer(), Some(9));
    assert!(note["hash"].as_str().unwrap().starts_with("sha256:"));
    assert!(
        note["url"]
            .as_str()
            .unwrap()
            .starts_with("https://example.org/mf6/test001a")
    );
    assert_eq!(table["root"].as_str(), Some("mf6"));
    assert!(table["models"].get("test/ex-gwt-keating/flow").is_some());

    let sloppy = ModelsToml::of(&below("mf6", &files))
        .without_sizes()
        .hashes(Hashes::Missing)
        .schema_version("2.0")
        .tail("[_meta]\nby = \"hand\"\n");
    let table: toml::Table = sloppy.text().parse().unwrap();
    let note = table["files"]["mf6/README.md"].as_table().unwrap();
    assert!(note.is_empty() && table.contains_key("_meta"));
    assert_eq!(table["schema_version"].as_str(), Some("2.0"));
}

#[test]
fn packs_the_same_bytes_each_time() {
    let files = [("../a", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")];
    assert_eq!(zip(&files), zip(&files));
    assert!(zip(&files).len() < zip_stored(&files).len());
    assert_eq!(names(&zip(&files)), ["../a"]);
    if let Some(real) = real_models() {
        assert!(models_of(&real).len() > 50);
    }
}
