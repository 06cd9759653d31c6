//! Names for things whose maker does not care.

use crate::failure::Failure;
use crate::records::Name;

/// Made-up names that are tried before a person has to choose one.
const TRIES: usize = 16;

/// Names to try in turn: the one that is wanted, or several of two words each.
///
/// # Errors
/// [`Failure::Invalid`] when what is wanted is no name.
pub(crate) fn candidates(wanted: &str) -> Result<Vec<Name>, Failure> {
    if wanted.is_empty() {
        return Ok((0..TRIES).filter_map(|_| made_up()).collect());
    }
    Ok(vec![Name::parse(wanted)?])
}

/// The failure when every candidate was taken.
pub(crate) fn all_taken(kind: &'static str, wanted: &str) -> Failure {
    match wanted {
        "" => Failure::Exhausted("no free name was found; choose one".into()),
        name => Failure::Exists { kind, name: name.to_owned() },
    }
}

/// Two words of lower-case letters.
fn made_up() -> Option<Name> {
    let name = petname::petname(2, "-")?.to_ascii_lowercase();
    Name::parse(&name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_names_are_two_words_of_letters() {
        let names: Vec<_> = (0..20).flat_map(|_| candidates("").unwrap()).collect();
        assert_eq!(names.len(), 20 * TRIES);
        for name in names {
            let words: Vec<_> = name.as_str().split('-').collect();
            let letters =
                |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
            assert!(words.len() == 2 && words.iter().all(letters), "{name}");
        }
    }

    #[test]
    fn a_name_that_is_wanted_is_the_only_one() {
        assert_eq!(candidates("demo").unwrap(), [Name::parse("demo").unwrap()]);
        assert!(candidates("No Name").is_err());
    }
}
