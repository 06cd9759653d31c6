//! Signals by the names of RFC 4254, section 6.10.

use russh::Sig;
use rustix::process::Signal;

/// The signal that a client means; those without a name in the RFC are taken by Linux' names.
pub(crate) fn named(signal: &Sig) -> Option<Signal> {
    Some(match signal {
        Sig::ABRT => Signal::ABORT,
        Sig::ALRM => Signal::ALARM,
        Sig::FPE => Signal::FPE,
        Sig::HUP => Signal::HUP,
        Sig::ILL => Signal::ILL,
        Sig::INT => Signal::INT,
        Sig::KILL => Signal::KILL,
        Sig::PIPE => Signal::PIPE,
        Sig::QUIT => Signal::QUIT,
        Sig::SEGV => Signal::SEGV,
        Sig::TERM => Signal::TERM,
        Sig::USR1 => Signal::USR1,
        Sig::Custom(name) => match name.as_str() {
            "USR2" => Signal::USR2,
            "TSTP" => Signal::TSTP,
            "STOP" => Signal::STOP,
            "CONT" => Signal::CONT,
            "WINCH" => Signal::WINCH,
            _ => return None,
        },
    })
}

/// The name of the signal that ended a process.
pub(crate) fn name(number: i32) -> Sig {
    const KNOWN: [(i32, Sig); 12] = [
        (1, Sig::HUP),
        (2, Sig::INT),
        (3, Sig::QUIT),
        (4, Sig::ILL),
        (6, Sig::ABRT),
        (8, Sig::FPE),
        (9, Sig::KILL),
        (10, Sig::USR1),
        (11, Sig::SEGV),
        (13, Sig::PIPE),
        (14, Sig::ALRM),
        (15, Sig::TERM),
    ];
    let known = KNOWN.into_iter().find(|(known, _)| *known == number);
    known.map_or_else(|| other(number), |(_, signal)| signal)
}

fn other(number: i32) -> Sig {
    Sig::Custom(match number {
        5 => "TRAP@navigator".into(),
        7 => "BUS@navigator".into(),
        12 => "USR2".into(),
        24 => "XCPU@navigator".into(),
        25 => "XFSZ@navigator".into(),
        31 => "SYS@navigator".into(),
        number => format!("{number}@navigator"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for number in [1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15] {
            assert_eq!(named(&name(number)).map(Signal::as_raw), Some(number));
        }
        assert_eq!(named(&Sig::Custom("NONE".into())), None);
        assert!(matches!(name(31), Sig::Custom(name) if name == "SYS@navigator"));
    }
}
