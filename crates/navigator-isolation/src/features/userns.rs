//! What to do when user namespaces are refused: distributions refuse them in different ways.

use std::path::Path;

/// The first setting below `sys` (`/proc/sys`) that refuses user namespaces, and how to change it for the
/// program at `program`. `None` when no setting known here is the reason.
pub(super) fn advice(sys: &Path, program: &Path) -> Option<String> {
    let is = |name: &str, value: &str| {
        std::fs::read_to_string(sys.join(name)).is_ok_and(|text| text.trim() == value)
    };
    if is("user/max_user_namespaces", "0") {
        Some("run `sudo sysctl -w user.max_user_namespaces=15000`".into())
    } else if is("kernel/unprivileged_userns_clone", "0") {
        Some("run `sudo sysctl -w kernel.unprivileged_userns_clone=1`".into())
    } else if is("kernel/apparmor_restrict_unprivileged_userns", "1") {
        Some(format!("allow this program user namespaces in AppArmor; run:\n{}", apparmor(program)))
    } else {
        None
    }
}

/// Commands that install a profile for Ubuntu 23.10 and newer. Source: apparmor.d(5).
fn apparmor(program: &Path) -> String {
    let program = pattern(&program.to_string_lossy());
    format!(
        "sudo tee /etc/apparmor.d/navigator >/dev/null <<'END'\n\
         abi <abi/4.0>,\n\
         include <tunables/global>\n\
         profile navigator \"{program}\" flags=(unconfined) {{\n  \
           userns,\n\
         }}\n\
         END\n\
         sudo apparmor_parser -r /etc/apparmor.d/navigator"
    )
}

/// A path as an AppArmor pattern that means this path only.
fn pattern(path: &str) -> String {
    let special = |c: char| matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '^' | '"' | '\\' | '@');
    path.chars()
        .flat_map(|c| special(c).then_some('\\').into_iter().chain(std::iter::once(c)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(settings: &[(&str, &str)]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, value) in settings {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("{value}\n")).unwrap();
        }
        advice(dir.path(), Path::new("/opt/nav {1}/navigator"))
    }

    #[test]
    fn each_setting_that_refuses_has_its_own_advice() {
        for (name, value, says) in [
            ("user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
            ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
            ("kernel/apparmor_restrict_unprivileged_userns", "1", "apparmor_parser -r"),
        ] {
            assert!(with(&[(name, value)]).is_some_and(|text| text.contains(says)), "{name}");
        }
    }

    #[test]
    fn settings_that_allow_are_no_reason() {
        let allowing = [
            ("user/max_user_namespaces", "15000"),
            ("kernel/unprivileged_userns_clone", "1"),
            ("kernel/apparmor_restrict_unprivileged_userns", "0"),
        ];
        assert_eq!(with(&allowing), None);
        assert_eq!(with(&[]), None);
    }

    #[test]
    fn the_profile_names_exactly_this_program() {
        let text = with(&[("kernel/apparmor_restrict_unprivileged_userns", "1")]).unwrap();
        let line = "\nprofile navigator \"/opt/nav \\{1\\}/navigator\" flags=(unconfined) {\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("\nEND\n"), "{text}");
    }
}
