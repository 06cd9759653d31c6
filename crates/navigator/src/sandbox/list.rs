//! `navigator sandbox list`: the sandboxes of a gateway, once or as they change.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use navigator_proto::v1::ListSandboxesRequest;

use super::error::SandboxError;
use super::listing::{Listed, Listing, one_line, print_all};
use super::session::Session;
use super::view::SandboxView;
use crate::output::{self, line};

/// Sandboxes of one answer: the gateway's own default, well below what fits into a message.
const PAGE: u32 = 100;
/// How often a watched list is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Arguments of `navigator sandbox list`.
#[derive(clap::Args, Debug)]
pub struct ListArgs {
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "table")]
    output: Listing,
    /// Go on with what changes, until interrupted
    #[arg(short = 'w', long)]
    watch: bool,
}

/// Lists.
pub async fn run(session: &mut Session, args: &ListArgs) -> Result<u8, SandboxError> {
    if args.watch {
        return watch(session, args.output).await;
    }
    let all = all(session).await?;
    print_all(&all, args.output)?;
    if all.is_empty() && args.output == Listing::Table {
        output::say("navigator: no sandboxes; make one with `navigator sandbox create`");
    }
    Ok(0)
}

/// All sandboxes, oldest first.
pub async fn all(session: &mut Session) -> Result<Vec<SandboxView>, SandboxError> {
    let mut all = vec![];
    loop {
        let offset = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let answer = session.api.list_sandboxes(ListSandboxesRequest { limit: PAGE, offset }).await;
        let page = answer.map_err(SandboxError::refused("list sandboxes"))?.into_inner().sandboxes;
        let last = page.len() < PAGE as usize;
        all.extend(page.into_iter().map(SandboxView::from));
        if last || offset == u32::MAX {
            return Ok(all);
        }
    }
}

async fn watch(session: &mut Session, format: Listing) -> Result<u8, SandboxError> {
    let mut known: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut heading = format == Listing::Table;
    loop {
        let mut now = BTreeMap::new();
        for view in all(session).await? {
            let (id, mark) = view.mark();
            let new = known.remove(&id).is_none_or(|(_, before)| before != mark);
            if new && let Err(error) = tell(&view, format, &mut heading) {
                return Ok(output::ended(error)?);
            }
            now.insert(id, (view.name().to_owned(), mark));
        }
        for (name, _) in known.values() {
            output::say(&format!("navigator: `{}` is gone", line(name)));
        }
        known = now;
        tokio::time::sleep(LOOK).await;
    }
}

fn tell(view: &SandboxView, format: Listing, heading: &mut bool) -> io::Result<()> {
    if std::mem::take(heading) {
        output::try_print(&super::listing::table(std::slice::from_ref(view)))
    } else {
        output::try_print(&one_line(view, format)?)
    }
}
