//! What the program says about itself.

use std::path::Path;

use crate::{navigator, stdout};

#[test]
fn completions_exist_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(stdout(&navigator(&["completions", shell])).contains("navigator"), "{shell}");
    }
}

#[test]
fn the_committed_manual_is_the_one_that_is_made_now() {
    let dir = tempfile::tempdir().unwrap();
    assert!(navigator(&["man", "--dir", dir.path().to_str().unwrap()]).status.success());
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let mut count = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let made = entry.unwrap();
        let known = std::fs::read_to_string(committed.join(made.file_name())).unwrap_or_default();
        let text = std::fs::read_to_string(made.path()).unwrap();
        assert!(known == text, "{:?} has changed; run `cargo xtask pages`", made.file_name());
        count += 1;
    }
    assert_eq!(std::fs::read_dir(committed).unwrap().count(), count, "a page is too many");
}

#[test]
fn wrong_usage_is_two_and_the_version_names_the_program() {
    assert_eq!(navigator(&["run"]).status.code(), Some(2));
    assert_eq!(navigator(&["nonsense"]).status.code(), Some(2));
    assert!(stdout(&navigator(&["--version"])).starts_with("navigator 0.1.0"));
}

/// Help as it is printed when nothing knows the width of the terminal.
fn help(words: &str) -> String {
    let mut args: Vec<&str> = words.split(' ').collect();
    args.push("--help");
    let output = navigator(&args);
    assert_eq!(output.status.code(), Some(0));
    stdout(&output)
}

#[test]
fn run_explains_itself() {
    insta::assert_snapshot!(help("run"), @r"
    Run a command in a sandbox of its own

    Usage: navigator run [OPTIONS] <CMD>...

    Arguments:
      <CMD>...
              Run this program with these arguments

    Options:
      -p, --policy <FILE>
              Apply this policy; without it the command has no network and writes only to /sandbox and
              /tmp

      -v, --verbose...
              Log more: once for decisions, twice for everything

          --watch-policy
              Follow changes of the policy file while the command runs; a file with errors leaves the
              policy as it is

          --learn <OUT>
              Let network access pass that no policy names, note it, and write a policy that allows just
              that; private and reserved addresses stay refused

      -m, --mount <SRC[:DST][:ro]>
              Mount a file or directory of this machine; at /sandbox/NAME unless DST is given

      -w, --workdir <DIR>
              Start in this directory of the sandbox [default: the first mounted directory, else
              /sandbox]

      -e, --env <NAME=VALUE|NAME>
              Set an environment variable, or pass one on from this environment

          --timeout <DURATION>
              Stop the command after this time, such as 90s, 5m or 1h (exit code 124)

          --memory <SIZE>
              Bound the memory of everything in the sandbox, such as 512M or 2G

          --cpus <N>
              Bound the processor time, in processors, such as 1.5

          --pids <N>
              Bound the number of processes [default: 4096]

          --disk <SIZE>
              Bound what can be written in the sandbox, such as 1G [default: half of the machine's
              memory]

          --root <DIR>
              Use this directory as root filesystem instead of the system's own directories

          --from <SOURCE>
              Take the root filesystem from here: host, a directory (./DIR), an image of the store by
              its name, oci:DIR, oci-archive:FILE, docker-archive:FILE or snapshot:TAG; an image's own
              policy holds unless --policy is given

          --upstream-ca <FILE>
              Trust the certificate authorities in this PEM file as well as the system's, when TLS is
              inspected

          --audit <FILE>
              Record decisions in this file [default: audit.jsonl in the state directory]

          --name <NAME>
              Name the sandbox; it becomes its host name

      -t, --tty
              Give the command a terminal even if this one is not

      -T, --no-tty
              Give the command no terminal: pipes stay pipes

      -q, --quiet
              Print nothing but what the command prints

      -o, --output <FORMAT>
              Print the summary of denials as text or JSON, on standard error

              Possible values:
              - text: For people
              - json: For programs: one JSON value
              
              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      navigator run -- python3 -c 'print(1)'
      navigator run --mount . -- make test
      navigator run --policy examples/pypi.yaml -- python3 -m pip install --target /sandbox/pkgs cowsay
      navigator run --mount ~/src/app --env ANTHROPIC_MODEL --timeout 30m -- agent

    Exit codes:
      the command's own; 2 wrong usage or invalid policy; 124 time limit; 125 navigator failed;
      126 not executable; 127 not found; 128+N ended by signal N
    ");
}

#[test]
fn policy_lists_its_commands() {
    insta::assert_snapshot!(help("policy"), @r"
    Check, explain, compare and set policies

    Usage: navigator policy [OPTIONS] <COMMAND>

    Commands:
      check     Report every error and warning of a policy
      fmt       Print policies in their canonical form, or put them into it
      explain   Say in plain words what a policy grants
      why       Answer whether a program may reach a host, and what would change the answer
      test      Put a table of questions to a policy and compare the answers with the expected ones
      diff      Say what the second policy newly allows and denies
      allow     Print a policy that allows one thing more
      set       Give a sandbox another policy while it runs
      get       Print the policy of a sandbox
      history   List the policies that a sandbox had, the newest first, and what became of each [alias:
                list]
      rollback  Put an earlier policy of a sandbox into force again
      schema    Print the JSON Schema of the language, for editors
      help      Print this message or the help of the given subcommand(s)

    Options:
      -v, --verbose...  Log more: once for decisions, twice for everything
      -h, --help        Print help
    ");
}

#[test]
fn policy_why_explains_itself() {
    insta::assert_snapshot!(help("policy why"), @r"
    Answer whether a program may reach a host, and what would change the answer

    Usage: navigator policy why [OPTIONS] --binary <PATH> --host <HOST> <FILE>

    Arguments:
      <FILE>
              Read this policy; `-` is standard input

    Options:
          --binary <PATH>
              Ask for this program

      -v, --verbose...
              Log more: once for decisions, twice for everything

          --host <HOST>
              Ask for this host

          --port <PORT>
              Ask for this port
              
              [default: 443]

          --method <METHOD>
              Ask for a request with this method

          --path <PATH>
              Ask for a request with this path

      -o, --output <FORMAT>
              Choose how to print

              Possible values:
              - text: For people
              - json: For programs: one JSON value
              
              [default: text]

      -h, --help
              Print help (see a summary with '-h')
    ");
}

#[test]
fn doctor_explains_itself() {
    insta::assert_snapshot!(help("doctor"), @r"
    Tell whether sandboxes can start here, and what to do if not

    Usage: navigator doctor [OPTIONS]

    Options:
      -o, --output <FORMAT>
              Choose how to print

              Possible values:
              - text: For people
              - json: For programs: one JSON value
              
              [default: text]

      -v, --verbose...
              Log more: once for decisions, twice for everything

      -h, --help
              Print help (see a summary with '-h')
    ");
}

#[test]
fn sandbox_lists_its_commands() {
    insta::assert_snapshot!(help("sandbox"), @r"
    Create, use and delete sandboxes that stay

    Usage: navigator sandbox [OPTIONS] <COMMAND>

    Commands:
      create      Create a sandbox, and run a command in it
      list        List sandboxes [alias: ls]
      get         Show one sandbox
      exec        Run a command in a sandbox
      cp          Copy files to and from a sandbox [alias: copy]
      sync        Make a directory of a sandbox like one of this machine, or the other way round
      forward     Reach ports of a sandbox from this machine
      forwards    List and stop what is forwarded in the background
      ssh-config  Print how ssh reaches sandboxes, or have it know
      open        Open a sandbox in an editor of this machine
      connect     Attach to a terminal session of a sandbox, which goes on when you leave
      sessions    List the terminal sessions of a sandbox, or end one
      replay      Show a recording of a terminal session again
      diff        List what a sandbox of an image has changed
      snapshot    Make an image of a sandbox as it is
      fork        Make a sandbox like another one, with a copy of its files
      logs        Print what a sandbox logged
      events      Print what happened to a sandbox
      stop        End everything that runs in sandboxes and keep their files
      start       Start stopped sandboxes again
      delete      Delete sandboxes with everything in them [alias: rm]
      wait        Wait until a sandbox is ready, stopped or deleted
      policy      Set and show the policy of a sandbox
      help        Print this message or the help of the given subcommand(s)

    Options:
      -v, --verbose...  Log more: once for decisions, twice for everything
      -h, --help        Print help
    ");
}

#[test]
fn gateway_lists_its_commands() {
    insta::assert_snapshot!(help("gateway"), @r"
    Start, stop and choose gateways

    Usage: navigator gateway [OPTIONS] <COMMAND>

    Commands:
      run     Serve in the foreground until a signal ends it
      config  Print the settings in force, and where each comes from
      init    Make certificates for remote clients, or renew them
      start   Start the gateway of this machine, unless it runs
      stop    Stop the gateway of this machine; sandboxes go on
      status  Tell whether a gateway answers
      add     Add a gateway that is elsewhere
      use     Use a gateway from now on
      list    List the gateways that are known [alias: ls]
      remove  Forget a gateway, and its certificates
      help    Print this message or the help of the given subcommand(s)

    Options:
      -v, --verbose...  Log more: once for decisions, twice for everything
      -h, --help        Print help
    ");
}

#[test]
fn sandbox_create_explains_itself() {
    insta::assert_snapshot!(help("sandbox create"), @r"
    Create a sandbox, and run a command in it

    Usage: navigator sandbox create [OPTIONS] [NAME] [-- <CMD>...]

    Arguments:
      [NAME]
              Name it [default: two words that are made up]

      [CMD]...
              Run this program with these arguments [default: a shell, on a terminal]

    Options:
      -p, --policy <FILE>
              Apply this policy; without it the sandbox has no network and writes only to /sandbox and
              /tmp
              
              [env: NAVIGATOR_SANDBOX_POLICY]

      -v, --verbose...
              Log more: once for decisions, twice for everything

          --provider <NAME>
              Give it the credentials of this provider; may be given several times

      -e, --env <NAME=VALUE|NAME>
              Set an environment variable, or pass one on from this environment

      -m, --mount <SRC[:DST][:ro]>
              Mount a file or directory of the gateway's machine; at /sandbox/NAME unless DST is given

          --upload <PATH>
              Copy this file or directory into it before the command runs; may be given several times

          --forward <PORT>
              Reach this port of it from this machine, in the background, as `forward` takes it

          --memory <SIZE>
              Bound the memory of everything in it, such as 512M or 2G

          --cpus <N>
              Bound the processor time, in processors, such as 1.5

          --pids <N>
              Bound the number of processes

          --disk <SIZE>
              Bound what can be written in /tmp and /dev/shm, such as 1G; /sandbox is on disk and not
              bounded

          --root <DIR>
              Use this directory as root filesystem instead of the system's own directories

          --from <SOURCE>
              Take the root filesystem from here: host, a directory (./DIR), an image by its name,
              oci:DIR, oci-archive:FILE, docker-archive:FILE or snapshot:TAG; an image's own policy
              holds unless --policy is given

          --label <KEY=VALUE>
              Attach a label; may be given several times

          --log-level <LEVEL>
              Log what is at least so important
              
              [possible values: error, warn, info, debug, trace]

          --keep
              Keep the sandbox when the command has ended; it is kept anyway unless --rm is given

          --rm
              Delete the sandbox when the command has ended, also after a failure or Ctrl-C

      -d, --detach
              Return at once, without waiting until it is ready

      -t, --tty
              Give the command a terminal even if this one is not

      -T, --no-tty
              Give the command no terminal: pipes stay pipes

          --record
              Record what the command prints on its terminal; see `navigator sandbox replay`

          --record-input
              Record what is typed too, also passwords

      -q, --quiet
              Print nothing but what the command prints

      -o, --output <FORMAT>
              Choose how to print the sandbox when no command is run

              Possible values:
              - table: For people
              - json:  For programs: one JSON value
              - yaml:  The same as YAML
              - name:  One name a line
              
              [default: name]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      navigator sandbox create demo --policy policy.yaml
      navigator sandbox create --mount . -- make test
      navigator sandbox create --rm --memory 2G -- agent
      navigator sandbox create build -d -o name

    Exit codes:
      the command's own; 2 wrong usage or invalid policy; 125 navigator or the gateway failed;
      126 not executable; 127 not found; 128+N ended by signal N
    ");
}

#[test]
fn sandbox_exec_explains_itself() {
    insta::assert_snapshot!(help("sandbox exec"), @r"
    Run a command in a sandbox

    Usage: navigator sandbox exec [OPTIONS] [NAME] [-- <CMD>...]

    Arguments:
      [NAME]
              Run it in this sandbox [default: the one that was used last]

      [CMD]...
              Run this program with these arguments [default: a shell]

    Options:
      -v, --verbose...
              Log more: once for decisions, twice for everything

      -w, --workdir <DIR>
              Start in this directory of the sandbox

      -e, --env <NAME=VALUE|NAME>
              Set an environment variable, or pass one on from this environment

          --timeout <DURATION>
              Stop the command after this time, such as 90s, 5m or 1h (exit code 124)

      -t, --tty
              Give the command a terminal even if this one is not

      -T, --no-tty
              Give the command no terminal: pipes stay pipes

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      navigator sandbox exec demo
      navigator sandbox exec demo -- ls -l /sandbox
      navigator sandbox exec -- python3 -
      tar c . | navigator sandbox exec demo --workdir /sandbox -- tar x

    Exit codes:
      the command's own; 2 wrong usage; 124 time limit; 125 navigator or the gateway failed;
      126 not executable; 127 not found; 128+N ended by signal N
    ");
}

#[test]
fn image_lists_its_commands() {
    insta::assert_snapshot!(help("image"), @r"
    Bring in, list and remove the images that sandboxes start from

    Usage: navigator image [OPTIONS] <COMMAND>

    Commands:
      import   Bring in an image that another tool wrote on this machine
      pull     Get an image from a registry
      list     List images [alias: ls]
      inspect  Show one image: what it asks for, and its layers
      tag      Give an image another name
      export   Write an image for another tool
      rm       Take names of images away, and remove images that have none left [alias: remove]
      prune    Remove what no sandbox uses
      help     Print this message or the help of the given subcommand(s)

    Options:
      -v, --verbose...  Log more: once for decisions, twice for everything
      -h, --help        Print help
    ");
}

#[test]
fn image_import_explains_itself() {
    insta::assert_snapshot!(help("image import"), @r"
    Bring in an image that another tool wrote on this machine

    Usage: navigator image import [OPTIONS] <SOURCE>

    Arguments:
      <SOURCE>
              Read the image from here

    Options:
          --name <NAME>
              Call it by this name [default: what it is called there]

      -v, --verbose...
              Log more: once for decisions, twice for everything

      -q, --quiet
              Print only the digest

      -h, --help
              Print help (see a summary with '-h')

    Sources:
      oci:DIR[:TAG]              an OCI layout
      oci-archive:FILE[:TAG]     one in an archive
      docker-archive:FILE[:TAG]  what `docker save` writes

    Examples:
      docker save tools:1 -o tools.tar && navigator image import docker-archive:tools.tar
      buildah push tools oci:layout:latest && navigator image import oci:layout --name tools
    ");
}

#[test]
fn image_export_explains_itself() {
    insta::assert_snapshot!(help("image export"), @r"
    Write an image for another tool

    Usage: navigator image export [OPTIONS] <IMAGE> <TARGET>

    Arguments:
      <IMAGE>
              Write this image, named by its name or the first digits of its digest

      <TARGET>
              Write it here

    Options:
      -v, --verbose...
              Log more: once for decisions, twice for everything

      -h, --help
              Print help (see a summary with '-h')

    Targets:
      oci:DIR[:TAG]              an OCI layout, to which the image is added
      docker-archive:FILE[:TAG]  what `docker load` reads

    Examples:
      navigator image export tools docker-archive:tools.tar && docker load -i tools.tar
      navigator image export tools oci:layout:latest && skopeo copy oci:layout:latest docker://…
    ");
}
