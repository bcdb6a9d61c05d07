//! The laws of the token: what is printed is read back, and what is wrong says what is wrong.
//! Must never run a scenario.

use proptest::prelude::*;
use seedbed::plan::{self, Engine, Overrides};
use seedbed::search::Token;
use seedbed::seed::Seed;
use seedbed::trace::Digest;

fn overrides() -> impl Strategy<Value = Overrides> {
    let engine = prop::option::of(prop_oneof![Just(Engine::Native), Just(Engine::Turmoil)]);
    let strategy = prop::option::of(prop_oneof![
        Just(plan::Strategy::Fifo),
        Just(plan::Strategy::Random),
        (1_u32..=9).prop_map(|depth| plan::Strategy::Pct { depth }),
    ]);
    let plants = prop::collection::vec("[A-Z][0-9]{1,3}", 0..4);
    (engine, strategy, plants).prop_map(|(engine, strategy, plants)| Overrides {
        engine,
        strategy,
        plants,
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(
            proptest::test_runner::FileFailurePersistence::Direct("tests/it/token.regressions"),
        )),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_printed_token_is_read_back_as_itself(
        scenario in "[a-z_][a-z0-9_./@-]{0,30}",
        seed: u64,
        overrides in overrides(),
        digest in prop::option::of(any::<u128>()),
    ) {
        let token = Token::new(scenario, Seed(seed), &overrides);
        let token = digest.map_or(token.clone(), |digest| token.with_digest(Digest(digest)));
        prop_assert_eq!(token.to_string().parse::<Token>(), Ok(token));
    }

    #[test]
    fn no_text_makes_the_parser_panic_or_read_what_it_would_not_print(text in ".{0,60}") {
        if let Ok(token) = text.parse::<Token>() {
            prop_assert_eq!(token.to_string().parse::<Token>(), Ok(token));
        }
    }
}

fn error(text: &str) -> String {
    text.parse::<Token>().unwrap_err().to_string()
}

#[test]
fn a_wrong_token_says_which_part_is_wrong() {
    assert_eq!(
        error("cold_start"),
        "`cold_start` has no `@`: expected SCENARIO@SEED, such as cold_start@0x2f3a"
    );
    assert_eq!(
        error("@1"),
        "`@1` names no scenario before its `@`: expected SCENARIO@SEED, such as cold_start@0x2f3a"
    );
    assert_eq!(
        error("a@x"),
        "`x` is not a seed: expected decimal (48), hex (0x2f3a) or a 40-digit git hash"
    );
    assert_eq!(
        error("a@1/quick"),
        "`quick` is no engine (native, turmoil), strategy (fifo, random, pct1 to pct9) or plant \
         (H07)"
    );
    assert_eq!(error("a@1/fifo+random"), "`random` contradicts `fifo`: a run has one strategy");
    assert_eq!(error("a@1#12"), "`12` is no digest: expected 8 to 32 hex digits after `#`");
    assert_eq!(
        error("a@1/native+"),
        "`native+` has an empty word: expected engines, strategies or plants joined by `+`"
    );
}

#[test]
fn a_git_hash_is_a_seed_and_the_order_of_overrides_does_not_matter() {
    let hash = "9c41d07e00000000aaaaaaaaaaaaaaaaaaaaaaaa";
    let token: Token = format!("a@{hash}/H10+turmoil+H01+pct3").parse().unwrap();
    assert_eq!(token.to_string(), "a@0x9c41d07e00000000/turmoil+pct3+H01+H10");
}

#[test]
fn a_token_with_a_digest_agrees_only_with_runs_that_have_it() {
    let token: Token = "a@1#9c41d07e".parse().unwrap();
    assert!(token.agrees_with(Digest(0x9c41_d07e_u128 << 96)));
    assert!(!token.agrees_with(Digest(0x9c41_d07f_u128 << 96)));
    assert!("a@1".parse::<Token>().unwrap().agrees_with(Digest(1)));
}
