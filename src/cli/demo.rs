//! `crossdock demo`: a gateway of its own, two partner systems that send to it and are called by it, and what becomes of
//! it.

mod balance;
mod folder;
mod script;
mod stage;
mod told;
mod way_out;

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use futures_util::future::select_all;
use url::Url;

use crate::cli::client::Client;
use crate::cli::demo::balance::Balance;
use crate::cli::demo::folder::Scratch;
use crate::cli::demo::script::{Scene, Step};
use crate::cli::demo::stage::{Partner, Stage};
use crate::cli::demo::told::Ink;
use crate::cli::partner::receiver::Trust;
use crate::cli::partner::receiver::received::Received;
use crate::cli::partner::{Flaw, Kind, Message, Observer, Receiver, Sample, Sender};
use crate::cli::serve::{Signals, prepare};
use crate::cli::{Common, Exit, Failure, Format, Output};
use crate::config::binding::{Binding, Parameter};
use crate::config::developer::{self, quoted};
use crate::config::environment::Environment;
use crate::config::layers::{Flag, Layers, Sources};
use crate::config::operator_token;
use crate::config::resolve::Credentials;
use crate::config::settings::Settings;
use crate::gateway::Gateway;
use crate::normalize::AdapterSet;
use crate::telemetry;

/// The adapters of the partner systems, in the order in which the script numbers them.
const PARTNERS: [&str; 2] = ["pyxis", "tempo"];
/// What the pasted `curl` sends.
const ORDER_FILE: &str = "order.json";

/// See it work: a gateway of its own and two simulated partner systems, one line an order
///
/// Needs nothing but this program and the folders `mappings` and `schemas`: the gateway runs on the embedded engines in
/// a temporary folder, on free ports of this machine. The partner systems send a fixed script over real HTTP, signed, and
/// are called when the platform says something about an order; one of them fails now and then. Then it stays up and prints commands to paste, until Ctrl-C.
#[derive(Debug, Args)]
pub struct Demo {
    /// Run the script, print the balance and exit: 0 if everything came out as the script says, else 65
    #[arg(long)]
    once: bool,
    /// Where the partner systems deliver [default: a free port of this machine]
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", hide_default_value = true)]
    listen: SocketAddr,
    /// Where operators ask [default: a free port of this machine]
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", hide_default_value = true)]
    ops_listen: SocketAddr,
}

/// Everything that runs.
struct Show {
    gateway: Gateway,
    stage: Stage,
    data_dir: PathBuf,
    /// Gone with the show, if the data folder is a temporary one.
    _scratch: Option<Scratch>,
}

impl Demo {
    pub(super) async fn run(self, common: &Common, environment: Environment, mut out: Output) -> Result<Exit, Failure> {
        let is_color = io::stdout().is_terminal() && environment.get("NO_COLOR").is_none_or(|value| value.is_empty());
        let ink = Ink { is_color };
        let mut signals = Signals::listen()?;
        let mut show = self.start(common, environment).await?;
        let played = tokio::select! {
            failed = show.play(&mut out, ink) => Some(failed?),
            () = signals.stop() => None,
        };
        let mut failed = played.unwrap_or_default();
        if !self.once && played.is_some() {
            if out.format == Format::Text {
                out.bytes(show.to_paste(ink)?.as_bytes())?;
            }
            tokio::select! {
                ended = show.tell_of_calls(&mut out, ink) => ended?,
                () = signals.stop() => {}
            }
        }
        let balance = Balance::settled(&show.stage.observer, show.stage.appended).await?;
        out.print(|| format!("\n{}", balance.text(ink)), || balance.document())?;
        failed += usize::from(!balance.holds());
        show.gateway.stop().await;
        Ok(if failed == 0 { Exit::Done } else { Exit::BadData })
    }

    async fn start(&self, common: &Common, environment: Environment) -> Result<Show, Failure> {
        let (scratch, data_dir) = match &common.data_dir {
            Some(folder) => (None, folder.clone()),
            None => {
                let scratch = Scratch::make().map_err(|cause| Failure::Scratch { cause })?;
                let folder = scratch.path().to_owned();
                (Some(scratch), folder)
            }
        };
        // Developer mode whatever lies in this folder: the demo touches nothing that is configured.
        let sources = || Sources { file: None, environment: environment.clone(), flags: self.flags(&data_dir) };
        let mut layers = Layers::open(sources()).map_err(Failure::Configuration)?;
        let folders = layers.folders().map_err(Failure::Configuration)?;
        let adapters = AdapterSet::load(&folders.mappings_dir, &folders.schemas_dir).map_err(Failure::Configuration)?;
        let adapters = Arc::new(adapters);
        let receivers = receivers(&prepare(&mut layers, &adapters.parameters())?).await?;
        let addresses = receivers.iter().map(|(binding, receiver)| (binding.as_str(), receiver.base_url())).collect();
        developer::call_at(&data_dir, &addresses)?;
        let mut layers = Layers::open(sources()).map_err(Failure::Configuration)?;
        let settings = prepare(&mut layers, &adapters.parameters())?;
        telemetry::log::start(&settings.telemetry, &environment)?;
        let gateway = Gateway::start(&settings, layers, &adapters, false).await?;
        let stage = stage(&settings, &adapters, &gateway, receivers)?;
        Ok(Show { gateway, stage, data_dir, _scratch: scratch })
    }

    fn flags(&self, data_dir: &Path) -> Vec<Flag> {
        let flag = |key: &[&str], value: String| Flag {
            name: format!("--{}", key.join("-")),
            key: key.iter().map(|part| (*part).to_owned()).collect(),
            value,
            is_text: true,
        };
        vec![
            flag(&["data_dir"], data_dir.to_string_lossy().into_owned()),
            flag(&["door", "listen"], self.listen.to_string()),
            flag(&["ops", "listen"], self.ops_listen.to_string()),
            // The lines of the demo say what is refused; `RUST_LOG` shows the rest.
            flag(&["telemetry", "log_filter"], "error".to_owned()),
        ]
    }
}

impl Show {
    /// Plays the script; how many steps came out otherwise than they should.
    async fn play(&mut self, out: &mut Output, ink: Ink) -> Result<usize, Failure> {
        if out.format == Format::Text {
            out.bytes(self.welcome(ink).as_bytes())?;
        }
        let has_topics = self.stage.has_topics().await?;
        let samples: Vec<_> = self.stage.partners.iter().map(|partner| &partner.sample).collect();
        let scenes = script::scenes(&samples, has_topics);
        let mut failed = 0;
        for Scene { title, steps } in scenes {
            title_of(title, out, ink)?;
            failed += self.send(steps, out, ink).await?;
        }
        title_of("The way out", out, ink)?;
        let samples: Vec<_> = self.stage.partners.iter().map(|partner| &partner.sample).collect();
        let orders = script::spoken_of(&samples);
        failed += self.send(orders, out, ink).await?;
        if out.format == Format::Text {
            out.bytes(format!("\n{}\n", way_out::header(ink)).as_bytes())?;
        }
        for saying in way_out::sayings() {
            let told = self.stage.say(&saying).await?;
            failed += usize::from(told.surprise.is_some());
            let stage = &self.stage;
            out.print(|| way_out::lines(&saying, stage, &told, ink), || way_out::document(&saying, stage, &told))?;
        }
        Ok(failed)
    }

    /// Sends these; how many came out otherwise than they should.
    async fn send(&mut self, steps: Vec<Step>, out: &mut Output, ink: Ink) -> Result<usize, Failure> {
        let mut failed = 0;
        for step in steps {
            let scored = self.stage.play(&step).await?;
            failed += usize::from(scored.surprise.is_some());
            let partner = PARTNERS.get(step.partner).copied().unwrap_or_default();
            out.print(|| told::lines(&step, partner, &scored, ink), || told::document(&step, partner, &scored))?;
        }
        Ok(failed)
    }

    /// One line a call, as they come, for ever.
    async fn tell_of_calls(&self, out: &mut Output, ink: Ink) -> Result<(), Failure> {
        let partners = &self.stage.partners;
        let mut next: Vec<_> = partners.iter().map(|partner| partner.receiver.look(Received::count)).collect();
        loop {
            let more = partners.iter().zip(&next).map(|(partner, next)| {
                Box::pin(partner.receiver.until(|received| way_out::answered(received, *next).next().is_some()))
            });
            select_all(more).await;
            for (partner, next) in partners.iter().zip(&mut next) {
                let calls: Vec<_> =
                    partner.receiver.look(|received| way_out::answered(received, *next).cloned().collect());
                for call in &calls {
                    *next = call.number + 1;
                    let name = &partner.sample.adapter;
                    out.print(|| way_out::later(name, call, ink), || way_out::call(name, call))?;
                }
            }
        }
    }

    fn welcome(&self, ink: Ink) -> String {
        format!(
            "{}\nPartner systems send their orders to a gateway, each in its own form, each signed. The gateway checks \
             them,\nmakes them one kind of order, puts them in order and publishes canonical events on topics.\n\n  \
             gateway   http://{}, on the embedded log and store in {}\n  partners  Pyxis (installation orders) and \
             Tempo (repairs), simulated; all they send and get goes over HTTP\n\n{}\n",
            ink.bold("Crossdock: an integration adapter gateway, at work"),
            self.gateway.door,
            self.data_dir.display(),
            told::header(ink)
        )
    }

    /// Commands that work as long as the demo runs.
    fn to_paste(&self, ink: Ink) -> Result<String, Failure> {
        let Self { gateway, stage, data_dir, .. } = self;
        let program = std::env::args().next().unwrap_or_else(|| "crossdock".to_owned());
        let command = format!("  {} --data-dir {}", quoted(&program), quoted(&data_dir.display().to_string()));
        let (door, ops) = (gateway.door, gateway.ops);
        let token = operator_token::read(data_dir)?;
        let token = token.as_ref().map_or("", |token| token.reveal());
        let mut text = format!(
            "\n{}\n  partners deliver to  http://{door}\n  operators ask        http://{ops}\n  operator token       \
             {token}\n\nThe first order's whole journey:\n{command} orders show --url http://{ops} pyxis PYXIS-DEMO-1\n\
             \nThe events as they come:\n{command} events tail --url http://{ops} integration.sales.order.normalized \
             --from beginning --limit 3\n",
            ink.bold("It stays up. Look around:"),
        );
        if let Some(partner) = stage.partners.first() {
            let order_id = "PYXIS-DEMO-100".to_owned();
            let message = Message { order_id, created_s: 100, kind: Kind::Created, flaw: Flaw::None };
            let delivery = partner.sample.delivery(&message);
            let file = data_dir.join(ORDER_FILE);
            std::fs::write(&file, &delivery.body).map_err(|cause| Failure::Scratch { cause })?;
            let file = quoted(&file.display().to_string());
            text += &format!(
                "\nAn order of your own, signed; edit the file, or send it twice:\n{command} sign --binding \
                 pyxis-north {file} | curl -sS -H @- -H 'Content-Type: application/json' --data-binary @{file} \
                 http://{door}{}\n",
                delivery.path
            );
        }
        if let Some(partner) = stage.partners.first() {
            let (id, url) = (partner.order_id(way_out::UNKNOWN), format!("--url http://{ops}"));
            let key = quoted(&format!("{}|{}|{id}", stage.tenant, partner.source_key));
            text += &format!(
                "\n{id} is held: its partner did not know it. What failed, what waits, and how it goes on, now that it \
                 does:\n{command} failures list {url}\n{command} keys list {url} --held\n{command} keys release \
                 {url} {key} --reason 'they know it now'\n"
            );
        }
        Ok(text + "\nEach call a partner gets is shown here. Ctrl-C ends it with a balance.\n")
    }
}

/// The partner systems as they are called, by binding, in the order of [`PARTNERS`].
async fn receivers(settings: &Settings) -> Result<Vec<(String, Receiver)>, Failure> {
    let mut receivers = Vec::new();
    for (number, name) in PARTNERS.iter().enumerate() {
        let known = || settings.bindings.iter().map(|binding| binding.adapter.clone()).collect();
        let unknown = || Failure::Unknown { kind: "adapter", name: (*name).to_owned(), known: known() };
        let binding = settings.bindings.iter().find(|binding| binding.adapter == *name).ok_or_else(unknown)?;
        let receiver = Receiver::start(trust(binding)).await.map_err(|cause| Failure::Scratch { cause })?;
        receiver.follow(way_out::manners(number, |order| script::order_id(name, order)));
        receivers.push((binding.name.clone(), receiver));
    }
    Ok(receivers)
}

/// By what the partner of `binding` knows that it is the gateway who calls.
fn trust(binding: &Binding) -> Trust {
    let bearer_token = match binding.parameters.get("outbound_token") {
        Some(Parameter::Secrets(secrets)) => secrets.first().cloned(),
        _ => None,
    };
    Trust { bearer_token, signing_secrets: binding.signing_secret.clone() }
}

fn stage(
    settings: &Settings,
    adapters: &AdapterSet,
    gateway: &Gateway,
    receivers: Vec<(String, Receiver)>,
) -> Result<Stage, Failure> {
    let mut partners = Vec::new();
    let mut tenant = String::new();
    for (name, receiver) in receivers {
        let known = || settings.bindings.iter().map(|binding| binding.name.clone()).collect();
        let unknown = || Failure::Unknown { kind: "binding", name: name.clone(), known: known() };
        let binding = settings.bindings.iter().find(|binding| binding.name == name).ok_or_else(unknown)?;
        let adapter = adapters.adapter(&binding.adapter).ok_or_else(unknown)?;
        tenant.clone_from(&binding.tenant_id);
        partners.push(Partner {
            sample: Sample::load(adapter).map_err(Failure::Configuration)?,
            sender: Sender::new(address(gateway.door)?, Credentials::of(binding))?,
            receiver,
            binding: binding.name.clone(),
            source_key: adapter.manifest().source_key(binding).into_owned(),
        });
    }
    let token = operator_token::ensure(&settings.data_dir)?.token;
    let observer = Observer::new(Client::new(address(gateway.ops)?, &token)?);
    Ok(Stage::new(partners, observer, &tenant))
}

fn title_of(title: &str, out: &mut Output, ink: Ink) -> Result<(), Failure> {
    if out.format == Format::Text {
        out.bytes(format!("\n{}\n", ink.bold(title)).as_bytes())?;
    }
    Ok(())
}

fn address(listener: SocketAddr) -> Result<Url, Failure> {
    Url::parse(&format!("http://{listener}")).map_err(|cause| Failure::Scratch { cause: io::Error::other(cause) })
}
