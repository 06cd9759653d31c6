//! Each matcher against an independent, slow and obvious one.

use std::net::IpAddr;

use navigator_policy::{
    Caller, CompiledPolicy, Decision, Destination, Host, HostPattern, check_address, load,
};
use proptest::prelude::*;

fn allows(host: &str, asked: &str) -> bool {
    let text = format!(
        "version: 1\nnetwork_policies: {{ a: {{ endpoints: [{{ host: \"{host}\", port: 1 }}], binaries: [{{ path: /b }}] }} }}\n"
    );
    let policy = load("p", &text).unwrap_or_else(|errors| panic!("{errors}")).policy;
    let compiled = CompiledPolicy::compile(&policy, &|_| None);
    let caller = Caller { executable: "/b", ancestors: &[], scripts: &[] };
    let host = Host::parse(asked).unwrap();
    matches!(compiled.decide(&caller, &Destination { host: &host, port: 1 }), Decision::Tunnel(_))
}

fn name() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]{1,2}", 1..5)
        .prop_map(|labels| format!("{}.example", labels.join(".")))
}

/// The ranges of the specification, tried one by one.
fn model(address: IpAddr, allowed: &[ipnet::IpNet]) -> bool {
    let inside = |nets: &[&str]| {
        nets.iter().any(|net| net.parse::<ipnet::IpNet>().unwrap().contains(&address))
    };
    let address_is_never = inside(&[
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
        "::ffff:0:0:0/96",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    ]);
    let private = inside(&[
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "198.18.0.0/15",
        "fc00::/7",
    ]);
    let listed = allowed.iter().any(|net| net.contains(&address));
    !address_is_never && (listed || (!private && allowed.is_empty()))
}

fn address() -> impl Strategy<Value = IpAddr> {
    let near = prop::sample::select(vec![
        0x0000_0000u32,
        0x00ff_ffff,
        0x7eff_ffff,
        0x7f00_0000,
        0x7fff_ffff,
        0x8000_0000,
        0xa9fe_0000,
        0xa9fd_ffff,
        0xa9ff_0000,
        0xac0f_ffff,
        0xac10_0000,
        0xac1f_ffff,
        0xac20_0000,
        0xc612_0000,
        0xc613_ffff,
        0xc614_0000,
        0xdfff_ffff,
        0xe000_0000,
        0xefff_ffff,
        0xf000_0000,
        0xffff_ffff,
        0x6440_0000,
        0x647f_ffff,
        0x6480_0000,
    ]);
    let v4 = prop_oneof![any::<u32>(), near].prop_map(|bits| IpAddr::V4(bits.into()));
    let start = prop::sample::select(vec![
        0u128,
        1 << 112,
        0x64_ff9b << 96,
        0x64_ff9b_0001 << 80,
        0x2002 << 112,
        0x2001 << 112,
        0x2001_0db8 << 96,
        0xfe80 << 112,
        0xfebf << 112,
        0xfec0 << 112,
        0xfc00 << 112,
        0xfdff << 112,
        0xff00 << 112,
        0xffff << 48,
    ]);
    let v6 =
        (start, any::<u64>()).prop_map(|(start, low)| IpAddr::V6((start | u128::from(low)).into()));
    // The rules see IPv4-mapped addresses as the IPv4 addresses that they are.
    prop_oneof![v4, v6].prop_map(|address| address.to_canonical())
}

proptest! {
    #[test]
    fn exact_hosts_match_only_themselves(host in name(), asked in name()) {
        prop_assert_eq!(allows(&host, &asked), host == asked);
    }

    #[test]
    fn wildcards_match_every_name_below(domain in name(), asked in name()) {
        let below = asked.len() > domain.len() && asked.ends_with(&format!(".{domain}"));
        prop_assert_eq!(allows(&format!("*.{domain}"), &asked), below);
    }

    #[test]
    fn addresses_agree_with_the_list_of_ranges(address in address(), listed in any::<bool>()) {
        let allowed: Vec<ipnet::IpNet> = if listed { vec!["10.0.0.0/9".parse().unwrap(), "fd00::/8".parse().unwrap()] } else { vec![] };
        prop_assert_eq!(check_address(address, &allowed).is_ok(), model(address, &allowed), "{}", address);
    }

    #[test]
    fn parsers_never_panic(text in any::<String>()) {
        let _ = Host::parse(&text);
        let _ = HostPattern::parse(&text);
        let _ = navigator_policy::Authority::parse(&text);
        let _ = navigator_policy::CanonicalPath::parse(&text);
        let _ = navigator_policy::SandboxPath::parse(&text);
        let _ = load("p", &text).map_err(|errors| errors.render(&text));
    }

    #[test]
    fn host_parsing_is_idempotent(text in "[a-zA-Z0-9.:\\[\\]x-]{0,20}") {
        if let Ok(host) = Host::parse(&text) {
            prop_assert_eq!(Host::parse(&host.to_string()), Ok(host));
        }
    }
}
