use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[test]
fn shows_no_credential() {
    let url = url("https://me:s3cret@Models.example.org:8443/a b?token=s3cret#frag");
    assert_eq!(url.to_string(), "https://models.example.org:8443/a%20b?…");
    assert!(!format!("{url:?}").contains("s3cret"));
    assert_eq!(
        url.expose(),
        "https://models.example.org:8443/a%20b?token=s3cret"
    );
    assert_eq!(
        url.basic_authorization().unwrap().expose(),
        "Basic bWU6czNjcmV0"
    );
}

#[test]
fn joins_and_redirects() {
    let base = url("https://h/models/");
    assert_eq!(
        base.join("data/a b%").to_string(),
        "https://h/models/data/a%20b%25"
    );
    let from = url("https://me:pw@h/models/data/x");
    for (location, expected) in [
        ("https://cdn.example/y?sig=1", "https://cdn.example/y?…"),
        ("//cdn.example/y", "https://cdn.example/y"),
        ("/y", "https://h/y"),
        ("y", "https://h/models/data/y"),
    ] {
        let target = from.redirect(location).unwrap();
        assert_eq!(target.to_string(), expected);
        assert!(target.basic_authorization().is_none());
    }
    assert!(from.redirect("file:///etc/passwd").is_err());
    assert!(from.redirect("gopher://x/").is_err());
}

#[test]
fn resolves_references_as_the_rfc_says() {
    let base = url("http://me:pw@a/b/c/d;p?q");
    // The examples of section 5.4, without those that have another scheme.
    for (reference, expected) in [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g/"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d;p?q"),
        ("g#s", "http://a/b/c/g"),
        ("g?y#s", "http://a/b/c/g?y"),
        (";x", "http://a/b/c/;x"),
        ("g;x", "http://a/b/c/g;x"),
        ("g;x?y#s", "http://a/b/c/g;x?y"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("./", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../", "http://a/"),
        ("../../g", "http://a/g"),
        ("../../../g", "http://a/g"),
        ("../../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("/../g", "http://a/g"),
        ("g.", "http://a/b/c/g."),
        (".g", "http://a/b/c/.g"),
        ("g..", "http://a/b/c/g.."),
        ("..g", "http://a/b/c/..g"),
        ("./../g", "http://a/b/g"),
        ("./g/.", "http://a/b/c/g/"),
        ("g/./h", "http://a/b/c/g/h"),
        ("g/../h", "http://a/b/c/h"),
        ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
        ("g;x=1/../y", "http://a/b/c/y"),
        ("g?y/./x", "http://a/b/c/g?y/./x"),
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        // And others that servers send.
        ("?to=http://b/", "http://a/b/c/d;p?to=http://b/"),
        ("g?to=http://b/", "http://a/b/c/g?to=http://b/"),
        ("/g?to=a:b", "http://a/g?to=a:b"),
        ("./g:h", "http://a/b/c/g:h"),
        ("HTTPS://B:8/x/../y", "https://b:8/y"),
        ("//you:pw@b/x", "http://b/x"),
        (" g h ", "http://a/b/c/g%20h"),
        ("größe", "http://a/b/c/gr%C3%B6%C3%9Fe"),
        ("/x//../y", "http://a/x/y"),
        ("/x/%2e%2E/y", "http://a/x/%2e%2E/y"),
    ] {
        let target = base.resolve(reference).unwrap();
        assert_eq!(target.expose(), expected, "{reference:?}");
        assert!(target.basic_authorization().is_none(), "{reference:?}");
    }
    for refused in ["g:h", "http:g", "mailto:a@b", "https://", "//", "///x"] {
        assert!(base.resolve(refused).is_err(), "{refused}");
    }
    assert!(base.redirect(" ").is_err());
}

#[test]
fn refuses_what_it_does_not_know() {
    for bad in [
        "",
        "models.example.org",
        "ftp://x/",
        "https://",
        "https:///x",
        "http://:80/",
        "http://a b/",
        "http://h:99999/",
        "http://h:x/",
        "http://h:80:80/",
        "http://[::1]:x/",
        "http://fe80::1/",
        "file://host/x",
    ] {
        assert!(Url::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn origin_and_loopback() {
    assert!(url("http://h/a").same_origin(&url("http://H:80/b")));
    assert!(url("http://h:/a").same_origin(&url("http://h/b")));
    assert!(!url("http://h/a").same_origin(&url("https://h/a")));
    for (text, expected) in [
        ("http://127.0.0.1:8000/", true),
        ("http://localhost/", true),
        ("http://[::1]:1/", true),
        ("http://127.1/", true),
        ("http://127.x.0.1/", false),
        ("http://127.0.0.1.example.org/", false),
        ("http://localhost.example.org/", false),
    ] {
        assert_eq!(url(text).is_loopback(), expected, "{text}");
    }
}

#[test]
fn paths_go_there_and_back() {
    let path = std::env::temp_dir().join("a b#c%41");
    assert_eq!(Url::from_path(&path).unwrap().to_file_path().unwrap(), path);
    assert!(Url::from_path(Path::new("relative")).is_err());
}
