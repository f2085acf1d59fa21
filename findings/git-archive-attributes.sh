#!/bin/bash
# Guess:   The zip that `git archive` makes of a commit, which Git hosts serve as its archive, holds the files as they were
#          committed, so that a digest taken from one holds for the other.
# Truth:   `git archive` converts files as a checkout does. With `eol=crlf` in `.gitattributes` their lines end in CRLF on
#          Linux too, with `ident` and `export-subst` they contain ids, and with `export-ignore` they are missing; git shows,
#          and hosts serve, single files as they were committed. Take digests of files from where they will be fetched.
# Version: git 2.47.3
# Source:  gitattributes(5), "Checking-out and checking-in" and "Creating an archive"; archive.c
#          in git, `object_file_to_archive`, which calls `convert_to_working_tree`
# Why:     A list of digests made from the archive of a repository never matches the files that its server sends: downloads
#          fail for good, for a few files only, and nothing about the repository looks wrong.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
git --version

git init --quiet repository
cd repository
export GIT_AUTHOR_NAME=finding GIT_AUTHOR_EMAIL=finding@example.com GIT_COMMITTER_NAME=finding GIT_COMMITTER_EMAIL=finding@example.com
printf '%s\n' '*.dat text eol=crlf' 'id.txt ident' 'version export-subst' 'notes export-ignore' >.gitattributes
printf '1\n2\n' >model.dat
printf '$Id$\n' >id.txt
printf '$Format:%%H$\n' >version
printf 'left out\n' >notes
printf 'as it is\n' >plain.txt
git add --all 2>/dev/null
git commit --quiet --message 'A commit'

mkdir ../archived
git archive HEAD | tar --extract --directory ../archived
different=()
for name in $(git ls-tree --name-only HEAD); do
    if [ ! -e "../archived/$name" ]; then
        echo "$name: not in the archive"
        different+=("$name")
    elif ! git show "HEAD:$name" | cmp --silent - "../archived/$name"; then
        echo "$name: committed $(git show "HEAD:$name" | od -An -c | tr -s ' ' | head -1)"
        echo "$name: archived  $(od -An -c "../archived/$name" | tr -s ' ' | head -1)"
        different+=("$name")
    fi
done
[ "${different[*]}" = 'id.txt model.dat notes version' ]
