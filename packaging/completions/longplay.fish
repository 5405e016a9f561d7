# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_longplay_global_optspecs
    string join \n config= h/help V/version
end

function __fish_longplay_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_longplay_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_longplay_using_subcommand
    set -l cmd (__fish_longplay_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c longplay -n "__fish_longplay_needs_command" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_needs_command" -s V -l version -d 'Print version'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "serve" -d 'Run the daemon, in the foreground'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "demo" -d 'Try everything out with a simulated Spotify'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "check" -d 'Check the configuration as the daemon would load it'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "config" -d 'Show the settings in force, each with where it came from'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "login" -d 'Log a user in to Spotify, or renew a login'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "users" -d 'List, add, change and remove users'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "pause" -d 'Suspend runs, refreshes and tokens until resumed'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "resume" -d 'Let what was paused go on'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "status" -d 'Show how everyone is, or one user in detail'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "archive" -d 'Archive now, wait for it, and print what was new'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "plays" -d 'Read the archive, newest first'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "top" -d 'Show what was heard most'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "stats" -d 'Show when a user listened: plays and minutes by day, hour and weekday'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "gaps" -d 'Show where plays may be missing, and why, newest first'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "export" -d 'Write out a user\'s archive, oldest first'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "backup" -d 'Back up the whole store into a file'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "copy" -d 'Move the whole store into another database'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "import" -d 'Import a listening history that Spotify has sent'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "replay" -d 'Read Spotify\'s answers again that were kept, and archive what was missed'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "token" -d 'Print an access token that is valid for a while, and nothing else'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "watch" -d 'Print events as they happen'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "doctor" -d 'Look for what is wrong, and say the cure'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "key" -d 'The key that the stored tokens are sealed with'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "adopt" -d 'Accept a store that was restored from a back-up, copied or moved'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "reload" -d 'Have the daemon load its configuration anew'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "completions" -d 'Print a completion script for a shell'
complete -c longplay -n "__fish_longplay_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c longplay -n "__fish_longplay_using_subcommand serve" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand demo" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand check" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand check" -l json -d 'Print JSON: {"good", "apps", "users", "faults": [{"file", "key", "got", "accepted"}]}'
complete -c longplay -n "__fish_longplay_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand config" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand config" -l json -d 'Print JSON: [{"key", "value", "from"}]'
complete -c longplay -n "__fish_longplay_using_subcommand config" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand login" -l app -d 'Which app; the user\'s own, or "default", where it is absent' -r
complete -c longplay -n "__fish_longplay_using_subcommand login" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand login" -l paste -d 'Read the address that the browser could not open from standard input'
complete -c longplay -n "__fish_longplay_using_subcommand login" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand users; and not __fish_seen_subcommand_from add set remove help" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand users; and not __fish_seen_subcommand_from add set remove help" -l json -d 'Print JSON: [{"name", "app", "schedule", "timezone", "origin": "file" or "store"}]'
complete -c longplay -n "__fish_longplay_using_subcommand users; and not __fish_seen_subcommand_from add set remove help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand users; and not __fish_seen_subcommand_from add set remove help" -f -a "add" -d 'Add a user'
complete -c longplay -n "__fish_longplay_using_subcommand users; and not __fish_seen_subcommand_from add set remove help" -f -a "set" -d 'Change a user; what isn\'t given stays as it is'
complete -c longplay -n "__fish_longplay_using_subcommand users; and not __fish_seen_subcommand_from add set remove help" -f -a "remove" -d 'Remove a user: the tokens go, the archive stays'
complete -c longplay -n "__fish_longplay_using_subcommand users; and not __fish_seen_subcommand_from add set remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from add" -l app -d 'Which app the login belongs to' -r
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from add" -l schedule -d '"adaptive", or a cron expression of 5 fields, or 6 with seconds' -r
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from add" -l timezone -d 'An IANA name such as Europe/Berlin' -r
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from add" -l refresh-token-file -d 'A file with a refresh token from elsewhere, to be taken over; "-": standard input' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from add" -l login-at -d 'When the user consented to that token: a time, a date or an age' -r
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from add" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from set" -l app -d 'Which app the login belongs to' -r
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from set" -l schedule -d '"adaptive", or a cron expression of 5 fields, or 6 with seconds' -r
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from set" -l timezone -d 'An IANA name such as Europe/Berlin' -r
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from set" -l refresh-token-file -d 'A file with a refresh token from elsewhere, to be taken over; "-": standard input' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from set" -l login-at -d 'When the user consented to that token: a time, a date or an age' -r
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from set" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help'
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from remove" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from remove" -l purge -d 'Delete the archive too'
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "add" -d 'Add a user'
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "set" -d 'Change a user; what isn\'t given stays as it is'
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Remove a user: the tokens go, the archive stays'
complete -c longplay -n "__fish_longplay_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c longplay -n "__fish_longplay_using_subcommand pause" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand pause" -l all -d 'Everyone'
complete -c longplay -n "__fish_longplay_using_subcommand pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand resume" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand resume" -l all -d 'Everyone'
complete -c longplay -n "__fish_longplay_using_subcommand resume" -s h -l help -d 'Print help'
complete -c longplay -n "__fish_longplay_using_subcommand status" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand status" -l check -d 'Exit with 1 unless all are ok or paused'
complete -c longplay -n "__fish_longplay_using_subcommand status" -l json -d 'Print JSON'
complete -c longplay -n "__fish_longplay_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand archive" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand archive" -l all -d 'Everyone'
complete -c longplay -n "__fish_longplay_using_subcommand archive" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand plays" -l since -d 'Not older than this' -r
complete -c longplay -n "__fish_longplay_using_subcommand plays" -l until -d 'Older than this' -r
complete -c longplay -n "__fish_longplay_using_subcommand plays" -l limit -d 'At most so many' -r
complete -c longplay -n "__fish_longplay_using_subcommand plays" -l format -d 'How to write them; table where it is absent' -r -f -a "table\t''
json\t''
jsonl\t''
csv\t''"
complete -c longplay -n "__fish_longplay_using_subcommand plays" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand plays" -l json -d 'The same as --format json'
complete -c longplay -n "__fish_longplay_using_subcommand plays" -l follow -d 'Oldest first, and go on as plays come in'
complete -c longplay -n "__fish_longplay_using_subcommand plays" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand top" -l kind -d 'Of what; artists where it is absent' -r -f -a "artists\t''
tracks\t''
albums\t''"
complete -c longplay -n "__fish_longplay_using_subcommand top" -l range -d 'Over which time until now: 4w, 6mo, 1y or all, in calendar months and years of the user\'s zone; 4w where it is absent' -r
complete -c longplay -n "__fish_longplay_using_subcommand top" -l source -d 'By whom: the archive, or Spotify\'s own top artists as last fetched' -r -f -a "archive\t''
spotify\t''"
complete -c longplay -n "__fish_longplay_using_subcommand top" -l limit -d 'At most so many' -r
complete -c longplay -n "__fish_longplay_using_subcommand top" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand top" -l json -d 'Print JSON: [{"name", "artists", "uri", "plays", "ms_played"}], or [{"rank", "name", "uri", "fetched_at"}] of Spotify'
complete -c longplay -n "__fish_longplay_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand stats" -l range -d 'Over which time until now: 4w, 6mo, 1y or all, in calendar months and years of the user\'s zone' -r
complete -c longplay -n "__fish_longplay_using_subcommand stats" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand stats" -l json -d 'Print JSON: {"timezone", "since", "first_played_at", "plays", "ms_played", "coverage", "days": [{"day", "plays", "ms_played"}], "hours": [{"hour", ...}], "weekdays": [{"weekday", ...}]}'
complete -c longplay -n "__fish_longplay_using_subcommand stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand gaps" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand gaps" -l json -d 'Print JSON: [{"from", "to", "cause", "at_most", "closed_at"}]'
complete -c longplay -n "__fish_longplay_using_subcommand gaps" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand export" -l format -d 'How to write it' -r -f -a "jsonl\t''
csv\t''
listenbrainz\t''"
complete -c longplay -n "__fish_longplay_using_subcommand export" -l since -d 'Not older than this' -r
complete -c longplay -n "__fish_longplay_using_subcommand export" -l until -d 'Older than this' -r
complete -c longplay -n "__fish_longplay_using_subcommand export" -l output -d 'Write to this file; standard output where it is absent' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand export" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand backup" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand backup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand copy" -l to -d 'The other store\'s URL, as in the configuration; "-": from standard input' -r
complete -c longplay -n "__fish_longplay_using_subcommand copy" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand copy" -l json -d 'Print JSON: {"from", "to", "tables": [{"table", "rows", "digest"}]}'
complete -c longplay -n "__fish_longplay_using_subcommand copy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand import" -l undo -d 'Take back what the import of this number has added and changed' -r
complete -c longplay -n "__fish_longplay_using_subcommand import" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand import" -l dry-run -d 'Only say what would become of each row'
complete -c longplay -n "__fish_longplay_using_subcommand import" -l json -d 'Print JSON'
complete -c longplay -n "__fish_longplay_using_subcommand import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand replay" -l since -d 'Only what was fetched since then: a date, a time, or an age (7d)' -r
complete -c longplay -n "__fish_longplay_using_subcommand replay" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand replay" -l json -d 'Print JSON: {"pages", "new_plays", "gaps_closed", "unreadable", "faults": [{"at", "why"}], "held_back", "raw_journal_days"}'
complete -c longplay -n "__fish_longplay_using_subcommand replay" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand token" -l valid-for -d 'The least validity, such as 10m or 600; the configured buffer where it is absent' -r
complete -c longplay -n "__fish_longplay_using_subcommand token" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand token" -l fresh -d 'Refresh first'
complete -c longplay -n "__fish_longplay_using_subcommand token" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand watch" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand watch" -l json -d 'Print JSON lines: {"at", "kind", "user", "app", "run", "attempt", "message"}'
complete -c longplay -n "__fish_longplay_using_subcommand watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand doctor" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand doctor" -l json -d 'Print JSON: {"healthy", "findings": [{"about", "verdict", "found", "cure"}]}; a verdict is good, warning or fault'
complete -c longplay -n "__fish_longplay_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand key; and not __fish_seen_subcommand_from rotate help" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand key; and not __fish_seen_subcommand_from rotate help" -s h -l help -d 'Print help'
complete -c longplay -n "__fish_longplay_using_subcommand key; and not __fish_seen_subcommand_from rotate help" -f -a "rotate" -d 'Seal the stored tokens with a new key'
complete -c longplay -n "__fish_longplay_using_subcommand key; and not __fish_seen_subcommand_from rotate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c longplay -n "__fish_longplay_using_subcommand key; and __fish_seen_subcommand_from rotate" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand key; and __fish_seen_subcommand_from rotate" -l json -d 'Print JSON: {"logins", "answers", "message"}'
complete -c longplay -n "__fish_longplay_using_subcommand key; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "rotate" -d 'Seal the stored tokens with a new key'
complete -c longplay -n "__fish_longplay_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c longplay -n "__fish_longplay_using_subcommand adopt" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand adopt" -l json -d 'Print JSON: {"store", "in_doubt"}'
complete -c longplay -n "__fish_longplay_using_subcommand adopt" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand reload" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand reload" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c longplay -n "__fish_longplay_using_subcommand completions" -l config -d 'Read this configuration instead of the host\'s' -r -F
complete -c longplay -n "__fish_longplay_using_subcommand completions" -s h -l help -d 'Print help'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "serve" -d 'Run the daemon, in the foreground'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "demo" -d 'Try everything out with a simulated Spotify'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "check" -d 'Check the configuration as the daemon would load it'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "config" -d 'Show the settings in force, each with where it came from'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "login" -d 'Log a user in to Spotify, or renew a login'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "users" -d 'List, add, change and remove users'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "pause" -d 'Suspend runs, refreshes and tokens until resumed'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "resume" -d 'Let what was paused go on'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "status" -d 'Show how everyone is, or one user in detail'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "archive" -d 'Archive now, wait for it, and print what was new'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "plays" -d 'Read the archive, newest first'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "top" -d 'Show what was heard most'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "stats" -d 'Show when a user listened: plays and minutes by day, hour and weekday'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "gaps" -d 'Show where plays may be missing, and why, newest first'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "export" -d 'Write out a user\'s archive, oldest first'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "backup" -d 'Back up the whole store into a file'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "copy" -d 'Move the whole store into another database'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "import" -d 'Import a listening history that Spotify has sent'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "replay" -d 'Read Spotify\'s answers again that were kept, and archive what was missed'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "token" -d 'Print an access token that is valid for a while, and nothing else'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "watch" -d 'Print events as they happen'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "doctor" -d 'Look for what is wrong, and say the cure'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "key" -d 'The key that the stored tokens are sealed with'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "adopt" -d 'Accept a store that was restored from a back-up, copied or moved'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "reload" -d 'Have the daemon load its configuration anew'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "completions" -d 'Print a completion script for a shell'
complete -c longplay -n "__fish_longplay_using_subcommand help; and not __fish_seen_subcommand_from serve demo check config login users pause resume status archive plays top stats gaps export backup copy import replay token watch doctor key adopt reload completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c longplay -n "__fish_longplay_using_subcommand help; and __fish_seen_subcommand_from users" -f -a "add" -d 'Add a user'
complete -c longplay -n "__fish_longplay_using_subcommand help; and __fish_seen_subcommand_from users" -f -a "set" -d 'Change a user; what isn\'t given stays as it is'
complete -c longplay -n "__fish_longplay_using_subcommand help; and __fish_seen_subcommand_from users" -f -a "remove" -d 'Remove a user: the tokens go, the archive stays'
complete -c longplay -n "__fish_longplay_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "rotate" -d 'Seal the stored tokens with a new key'
