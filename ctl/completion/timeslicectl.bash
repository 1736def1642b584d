# bash completion for timeslicectl. Commands and options are those that the program itself names in its --help, so they
# cannot differ from it; only the values of a few options are known here.

_timeslicectl_values() {
    case $1 in
    --format) echo table json csv ;;
    --metric) echo cumtime tottime ncalls pcalls ;;
    --by) echo function location label. ;;
    --color) echo auto always never ;;
    --last) echo 15m 1h 1d 7d ;;
    --time-slice) echo 1m 1h 1d ;;
    esac
}

_timeslicectl() {
    local program=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local help commands valued command='' operand='' at word
    # bash takes --format=json apart at the =.
    if [ "$cur" = = ]; then
        cur=
    elif [ "$before" = = ]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    help=$("$program" --help 2>/dev/null)
    commands=$(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' <<<"$help")
    valued=" $(sed -n 's/^  \(--[a-z-]*\) [A-Z].*/\1/p' <<<"$help" | tr '\n' ' ')"

    for ((at = 1; at < COMP_CWORD; at++)); do
        word=${COMP_WORDS[at]}
        case $word in
        --*)
            if [ "${COMP_WORDS[at + 1]}" = = ]; then
                at=$((at + 2))
            elif [[ $valued == *" $word "* ]]; then
                at=$((at + 1))
            fi
            ;;
        *) if [ -z "$command" ]; then command=$word; fi ;;
        esac
    done

    COMPREPLY=()
    if [[ $before == --* && $valued == *" $before "* ]]; then
        if [ "$before" = --socket ]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        else
            mapfile -t COMPREPLY < <(compgen -W "$(_timeslicectl_values "$before")" -- "$cur")
        fi
    elif [[ $cur == -* ]]; then
        if [ -n "$command" ]; then help=$("$program" "$command" --help 2>/dev/null); fi
        mapfile -t COMPREPLY < <(compgen -W "$(sed -n 's/^  \(--[a-z-]*\)[ ].*/\1/p' <<<"$help")" -- "$cur")
    elif [ -z "$command" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
    else
        operand=$("$program" "$command" --help 2>/dev/null | sed -n '1s/.*\bFILE\b.*/FILE/p')
        if [ -n "$operand" ]; then mapfile -t COMPREPLY < <(compgen -f -- "$cur"); fi
    fi
}

complete -o filenames -F _timeslicectl timeslicectl
