//! Whatever a configuration holds, it is read or refused.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_in_a_file_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let host = Host::new().file("longplay.toml", bytes);
        let _ = (load(&host.place), load_control(&host.place));
    }

    /// Text that is mostly TOML, in which odd names and values get as far as the check.
    #[test]
    fn no_names_and_values_make_it_panic(
        section in "(store|apps|users|web|tokens|\"[^\"\\\\]{0,9}\")(\\.[a-z]{1,3})?",
        key in "(url|listen|app|x|key_file|schedule|\"[^\"\\\\]{0,9}\")(\\.[a-z])?",
        value in "('[^'\n]{0,40}'|-?[0-9]{1,20}|\\[\\[1\\]\\]|\\{a=1\\}|1979-05-27|inf)",
        variable in "LONGPLAY_[A-Za-z\\[\\]0-9.]{0,9}(__[A-Z_.\\[\\]0-9]{0,9}){0,4}",
        text in "\\PC{0,30}",
    ) {
        let host = Host::with(&format!("[{section}]\n{key} = {value}\n")).env(&variable, &text);
        for fault in load(&host.place).err().into_iter().flat_map(|faults| faults.0) {
            prop_assert!(!fault.to_string().contains('\n'), "{fault:?}");
        }
        let _ = load_control(&host.place);
    }
}
