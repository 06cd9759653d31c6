use navigator_proto::datamodel::v1::{Mount, SandboxTemplate};

use super::*;

fn launch(directory: &Path) -> Launch {
    Launch {
        sandbox_id: "1".into(),
        sandbox_name: "test".into(),
        token: "hunter2".into(),
        gateway_socket: "/run/gateway.sock".into(),
        directory: directory.to_str().unwrap().into(),
        spec: Some(SandboxSpec::default()),
        complete: true,
        ..Launch::default()
    }
}

fn reason(launch: Launch) -> &'static str {
    match read(launch.encode_to_vec().as_slice()).and_then(|(_, launch)| judge(launch)) {
        Ok(_) => "none",
        Err(error) => error.reason(),
    }
}

#[test]
fn the_credential_leaves_the_message_and_comes_back_later() {
    let (contact, rest) = read(launch(Path::new("/x")).encode_to_vec().as_slice()).unwrap();
    assert!(rest.token.is_empty());
    assert_eq!(contact.token.open().unwrap().as_slice(), b"hunter2");
}

#[test]
fn what_cannot_be_used_is_refused_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let good = || launch(dir.path());
    assert_eq!(reason(good()), "none");
    let with = |change: &dyn Fn(&mut SandboxSpec)| {
        let mut launch = good();
        change(launch.spec.as_mut().unwrap());
        reason(launch)
    };
    assert_eq!(with(&|spec| spec.log_level = "loud".into()), "InvalidLaunch");
    assert_eq!(
        with(&|spec| spec.environment = [("A=B".into(), String::new())].into()),
        "InvalidLaunch"
    );
    assert_eq!(
        with(&|spec| {
            let image = "registry.example/image".into();
            spec.template = Some(SandboxTemplate { image, ..SandboxTemplate::default() });
        }),
        "InvalidLaunch"
    );
    assert_eq!(
        with(&|spec| spec.mounts = vec![Mount { source: "x".into(), ..Mount::default() }]),
        "InvalidLaunch"
    );
    let root = navigator_proto::sandbox::v1::ProcessPolicy {
        run_as_user: "root".into(),
        ..Default::default()
    };
    assert_eq!(
        with(&|spec| {
            let process = Some(root.clone());
            let policy =
                navigator_proto::sandbox::v1::SandboxPolicy { process, ..Default::default() };
            spec.policy = Some(policy);
        }),
        "InvalidPolicy"
    );
    for missing in [
        Launch { token: String::new(), ..good() },
        Launch { spec: None, ..good() },
        Launch { directory: "relative".into(), ..good() },
        Launch { gateway_socket: String::new(), ..good() },
    ] {
        assert_eq!(reason(missing), "InvalidLaunch");
    }
    // Cut short anywhere, also where a field ends.
    let whole = good().encode_to_vec();
    assert!((0..whole.len()).all(|length| read(&whole[..length]).is_err()));
    assert!(matches!(read(&[0xff_u8; 9][..]), Err(OrderError::Decode(_))));
    assert!(matches!(read(std::io::repeat(0)), Err(OrderError::TooLong)));
}

#[test]
fn names_of_variables_are_checked() {
    for good in ["A", "_", "a_1", "PATH"] {
        assert!(is_name(good), "{good}");
    }
    for bad in ["", "1A", "A-B", "A=B", "A B", "Ä", "A\0"] {
        assert!(!is_name(bad), "{bad:?}");
    }
}

#[test]
fn processes_start_in_the_first_mounted_directory() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().to_str().unwrap().to_owned();
    let mut launch = launch(dir.path());
    let order = judge(launch.clone()).unwrap();
    assert_eq!(order.request.workdir, Some("/sandbox".into()));
    let mount = Mount { source, destination: "/sandbox/project".into(), read_only: true };
    launch.spec.as_mut().unwrap().mounts = vec![mount];
    let order = judge(launch).unwrap();
    assert_eq!(order.request.workdir, Some("/sandbox/project".into()));
}

#[test]
fn a_directory_that_has_become_a_link_is_not_mounted() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().canonicalize().unwrap();
    std::fs::create_dir(base.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", base.join("link")).unwrap();
    std::fs::create_dir(base.join("elsewhere/below")).unwrap();
    for source in ["link", "link/below"] {
        let source = base.join(source).to_str().unwrap().to_owned();
        let mut launch = launch(&base);
        let mount =
            Mount { source: source.clone(), destination: "/sandbox/x".into(), ..Mount::default() };
        launch.spec.as_mut().unwrap().mounts = vec![mount];
        assert!(matches!(judge(launch.clone()), Err(OrderError::Moved { .. })));
        let template = SandboxTemplate { image: source, ..SandboxTemplate::default() };
        launch.spec = Some(SandboxSpec { template: Some(template), ..SandboxSpec::default() });
        assert!(matches!(judge(launch), Err(OrderError::Moved { .. })));
    }
}
