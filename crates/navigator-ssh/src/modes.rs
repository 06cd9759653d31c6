//! Terminal modes by the numbers of RFC 4254, section 8.

use rustix::termios::{
    ControlModes, InputModes, LocalModes, OutputModes, SpecialCodeIndex, Termios,
};

/// Argument that switches a special character off.
const OFF: u32 = 255;

/// Changes one mode; numbers that Linux has no mode for change nothing.
pub(crate) fn apply(settings: &mut Termios, opcode: u8, argument: u32) {
    if let Some(index) = character(opcode) {
        let code = if argument == OFF { 0 } else { u8::try_from(argument).unwrap_or(0) };
        settings.special_codes[index] = code;
    } else if let Some(mode) = input(opcode) {
        settings.input_modes.set(mode, argument != 0);
    } else if let Some(mode) = local(opcode) {
        settings.local_modes.set(mode, argument != 0);
    } else if let Some(mode) = output(opcode) {
        settings.output_modes.set(mode, argument != 0);
    } else {
        control(settings, opcode, argument != 0);
    }
}

fn character(opcode: u8) -> Option<SpecialCodeIndex> {
    Some(match opcode {
        1 => SpecialCodeIndex::VINTR,
        2 => SpecialCodeIndex::VQUIT,
        3 => SpecialCodeIndex::VERASE,
        4 => SpecialCodeIndex::VKILL,
        5 => SpecialCodeIndex::VEOF,
        6 => SpecialCodeIndex::VEOL,
        7 => SpecialCodeIndex::VEOL2,
        8 => SpecialCodeIndex::VSTART,
        9 => SpecialCodeIndex::VSTOP,
        10 => SpecialCodeIndex::VSUSP,
        12 => SpecialCodeIndex::VREPRINT,
        13 => SpecialCodeIndex::VWERASE,
        14 => SpecialCodeIndex::VLNEXT,
        18 => SpecialCodeIndex::VDISCARD,
        _ => return None,
    })
}

fn input(opcode: u8) -> Option<InputModes> {
    Some(match opcode {
        30 => InputModes::IGNPAR,
        31 => InputModes::PARMRK,
        32 => InputModes::INPCK,
        33 => InputModes::ISTRIP,
        34 => InputModes::INLCR,
        35 => InputModes::IGNCR,
        36 => InputModes::ICRNL,
        37 => InputModes::IUCLC,
        38 => InputModes::IXON,
        39 => InputModes::IXANY,
        40 => InputModes::IXOFF,
        41 => InputModes::IMAXBEL,
        // RFC 8160.
        42 => InputModes::IUTF8,
        _ => return None,
    })
}

fn local(opcode: u8) -> Option<LocalModes> {
    Some(match opcode {
        50 => LocalModes::ISIG,
        51 => LocalModes::ICANON,
        52 => LocalModes::XCASE,
        53 => LocalModes::ECHO,
        54 => LocalModes::ECHOE,
        55 => LocalModes::ECHOK,
        56 => LocalModes::ECHONL,
        57 => LocalModes::NOFLSH,
        58 => LocalModes::TOSTOP,
        59 => LocalModes::IEXTEN,
        60 => LocalModes::ECHOCTL,
        61 => LocalModes::ECHOKE,
        62 => LocalModes::PENDIN,
        _ => return None,
    })
}

fn output(opcode: u8) -> Option<OutputModes> {
    Some(match opcode {
        70 => OutputModes::OPOST,
        71 => OutputModes::OLCUC,
        72 => OutputModes::ONLCR,
        73 => OutputModes::OCRNL,
        74 => OutputModes::ONOCR,
        75 => OutputModes::ONLRET,
        _ => return None,
    })
}

/// Seven bits and eight bits are two opcodes for one field.
fn control(settings: &mut Termios, opcode: u8, on: bool) {
    let modes = &mut settings.control_modes;
    match (opcode, on) {
        (90, true) => *modes = (*modes - ControlModes::CSIZE) | ControlModes::CS7,
        (91, true) => *modes = (*modes - ControlModes::CSIZE) | ControlModes::CS8,
        (92, on) => modes.set(ControlModes::PARENB, on),
        (93, on) => modes.set(ControlModes::PARODD, on),
        _ => {}
    }
}
