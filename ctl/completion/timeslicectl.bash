# bash completion for timeslicectl. Commands and options are read from the output of --help, so they are always those of
# the installed version. Only the values of a few options are listed here.

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
    local program=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local help commands with_value command='' operand='' at word
    # bash splits --format=json into three words, because = is in COMP_WORDBREAKS.
    if [ "$cur" = = ]; then
        cur=
    elif [ "$previous" = = ]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    help=$("$program" --help 2>/dev/null)
    commands=$(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' <<<"$help")
    with_value=" $(sed -n 's/^  \(--[a-z-]*\) [A-Z].*/\1/p' <<<"$help" | tr '\n' ' ')"

    for ((at = 1; at < COMP_CWORD; at++)); do
        word=${COMP_WORDS[at]}
        case $word in
        --*)
            if [ "${COMP_WORDS[at + 1]}" = = ]; then
                at=$((at + 2))
            elif [[ $with_value == *" $word "* ]]; then
                at=$((at + 1))
            fi
            ;;
        *) if [ -z "$command" ]; then command=$word; fi ;;
        esac
    done

    COMPREPLY=()
    if [[ $previous == --* && $with_value == *" $previous "* ]]; then
        if [ "$previous" = --socket ]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        else
            mapfile -t COMPREPLY < <(compgen -W "$(_timeslicectl_values "$previous")" -- "$cur")
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
