//! `navigator sandbox get`: one sandbox, once or as it changes.

use navigator_proto::datamodel::v1::Sandbox;
use navigator_proto::v1::WatchSandboxRequest;
use navigator_proto::v1::sandbox_stream_event::Payload;

use super::error::SandboxError;
use super::listing::{Listing, one_line, print_one};
use super::names;
use super::session::Session;
use super::view::SandboxView;
use crate::output::{self, say};

/// Arguments of `navigator sandbox get`.
#[derive(clap::Args, Debug)]
pub struct GetArgs {
    /// Show this sandbox [default: the one that was used last]
    #[arg(add = names::completer())]
    name: Option<String>,
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "table")]
    output: Listing,
    /// Go on with what changes, until it is gone or this is interrupted
    #[arg(short = 'w', long)]
    watch: bool,
}

/// Shows.
pub async fn run(session: &mut Session, args: &GetArgs) -> Result<u8, SandboxError> {
    let sandbox = session.meant(args.name.as_ref()).await?;
    if args.watch {
        return watch(session, sandbox, args.output).await;
    }
    print_one(&SandboxView::from(sandbox), args.output, SandboxView::text)?;
    Ok(0)
}

async fn watch(
    session: &mut Session,
    sandbox: Sandbox,
    format: Listing,
) -> Result<u8, SandboxError> {
    let request = WatchSandboxRequest {
        id: sandbox.id,
        follow_status: true,
        ..WatchSandboxRequest::default()
    };
    let failed = || SandboxError::refused(format!("watch `{}`", sandbox.name));
    let stream = session.api.watch_sandbox(request).await.map_err(failed())?;
    let (mut stream, mut before) = (stream.into_inner(), None);
    while let Some(event) = stream.message().await.map_err(failed())? {
        match event.payload {
            Some(Payload::Sandbox(sandbox)) => {
                let view = SandboxView::from(sandbox);
                let mark = Some(view.mark());
                if before != mark
                    && let Err(error) =
                        one_line(&view, format).and_then(|text| output::try_print(&text))
                {
                    return Ok(output::ended(error)?);
                }
                before = mark;
            }
            Some(Payload::Warning(warning)) => {
                say(&format!("navigator: {}", output::line(&warning.message)));
            }
            Some(Payload::Log(_) | Payload::Event(_)) | None => {}
        }
    }
    Ok(0)
}
