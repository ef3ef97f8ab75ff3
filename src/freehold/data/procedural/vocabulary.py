"""Word lists that the procedural families draw from. Written by hand for this project; no outside source."""

from __future__ import annotations


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WORDS: tuple[str, ...] = _listed(
    """
    apple pear plum cherry lemon grape melon peach fig olive carrot onion potato bean pea leek garlic pepper cabbage
    bread cake pie soup rice pasta cheese butter milk honey sugar salt tea coffee juice water jam egg flour toast
    dog cat horse cow sheep goat pig hen duck goose fox wolf bear deer rabbit mouse otter badger owl crow robin hawk
    salmon trout whale seal crab snail spider bee ant moth lion tiger camel monkey parrot lizard frog
    table chair bench shelf desk lamp clock mirror carpet curtain pillow blanket basket bucket bottle glass cup plate
    bowl spoon fork knife pan pot kettle oven candle hammer nail saw drill ladder rope wire brush broom shovel rake
    hat coat scarf glove boot shoe sock shirt jacket belt button ring watch purse bag ticket key lock door window wall
    roof floor stair garden gate fence path road street bridge tunnel tower castle church market shop school library
    museum theatre station harbour airport hotel farm barn mill factory office garage kitchen cellar attic
    river lake pond sea island beach hill mountain valley forest meadow desert cave cliff field stone sand clay snow
    ice rain wind storm cloud fog sun moon star sky fire smoke ash gold silver copper iron steel brass paper cotton
    wool silk leather wood plastic rubber rose lily daisy tulip fern ivy oak pine birch willow maple moss grass seed
    boat ship canoe ferry train tram bus car truck van bicycle scooter plane rocket wagon sled anchor sail engine
    wheel piano violin guitar drum flute trumpet harp bell song dance film poem story letter book page map chart photo
    painting statue puzzle game ball kite doll puppet coin stamp badge flag crown sword shield arrow
    red blue green yellow purple orange black white brown grey pink small large tall short wide narrow thick thin deep
    quick slow early late warm cold hot cool dry wet soft hard light heavy bright dark quiet loud clean dirty empty
    full new old young fresh stale sweet sour bitter sharp blunt smooth rough round square flat steep calm proud brave
    kind gentle clever honest happy sad angry tired hungry thirsty lazy busy rich poor simple plain fancy strange
    walk run jump swim climb dance sing read write draw paint cook bake wash clean carry push pull lift drop throw
    catch kick build break mend cut sew knit plant pick water feed ride drive sail fly travel visit meet greet help
    teach learn listen speak whisper shout laugh cry smile sleep wake dream think know forget remember find lose
    buy sell trade pay borrow lend give take send bring keep hide show open close start stop wait hurry turn follow
    baker farmer teacher doctor nurse driver pilot sailor soldier painter singer writer tailor cook waiter porter
    guard judge lawyer clerk plumber builder miner fisher hunter shepherd potter weaver smith carpenter gardener
    morning noon evening night winter spring summer autumn week month year hour minute second corner middle edge
    north south east west left right front back inside outside above below near far number figure colour shape size
    weight height length price cost reason answer question problem idea plan rule habit promise secret gift
    """
)

NAMES: tuple[str, ...] = _listed(
    """
    Marta Jonas Ines Pavel Lena Omar Priya Kenji Aisha Tomas Greta Hugo Nadia Felix Ruth Samir Elena Bruno Yuki Clara
    Diego Freya Ivan Leila Milo Nora Oscar Petra Quinn Rosa Sven Tara Uma Victor Wanda Xenia Yara Zane Alba Boris Carla
    Dario Edith Fiona Gavin Hanna Igor Jana Karim Lydia Mateo Nina Otto Paula Rafael Silvia Tariq Ursula Vera Walter
    Anton Bella Cyrus Daphne Emil Flora Goran Helga Ilse Jasper Katya Lorenz Mona Nils Olga Pedro Rita Stefan Thea
    Umberto Viola Wendel Yvonne Zora Adele Basil Cora Dmitri Esther Franz Gloria Hector Irma Joel Kira Leon Maya Noel
    Orla Piet Remy Selma Theo Ulla Vince Willa Yosef Zelda Alice Ben Chloe Daniel Emma Frank Grace Henry Isla Jack
    """
)

PLACES: tuple[str, ...] = _listed(
    """
    Porto Lyon Turin Ghent Malmo Bergen Cork Leeds Bath York Derby Ulm Bonn Kiel Graz Linz Basel Bern Lugano Pisa
    Siena Padua Bari Seville Bilbao Cadiz Vigo Braga Faro Nantes Lille Reims Dijon Metz Tours Brest Utrecht Delft Breda
    Aarhus Odense Oulu Turku Tampere Tartu Riga Vilnius Gdansk Lodz Brno Ostrava Zagreb Split Osijek Pecs Szeged Varna
    Plovdiv Patras Izmir Bursa Haifa Tunis Oran Fez Dakar Accra Lagos Kano Lusaka Quito Cusco Lima Natal Rosario
    Salta Mendoza Austin Boise Omaha Tulsa Reno Tampa Quebec Regina Osaka Kobe Nara Kyoto Busan Hanoi Hue Cebu Perth
    Hobart Napier Nelson Pune Surat Jaipur Kochi Madurai Lahore Multan
    """
)

DAYS = (
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "today",
    "tomorrow",
    "tonight",
)

ONSETS = _listed("b c d f g h j k l m n p r s t v w z br ch cl cr dr fl gr pl pr sh sl st th tr")
VOWELS = _listed("a e i o u ai ea ee oa ou")
CODAS = ("", "", "", "l", "m", "n", "r", "s", "t", "x", "nd", "nt", "rk", "sh", "st", "ck")

SYNONYMS: dict[str, tuple[str, ...]] = {
    "want": ("would like", "need", "wish"),
    "need": ("want", "must have", "require"),
    "get": ("receive", "obtain"),
    "receive": ("get",),
    "still": ("so far", "until now"),
    "help": ("assist", "support"),
    "cancel": ("stop", "call off"),
    "change": ("modify", "alter", "update"),
    "buy": ("purchase", "order"),
    "order": ("buy", "request"),
    "broken": ("damaged", "defective"),
    "damaged": ("broken", "faulty"),
    "arrived": ("come", "turned up"),
    "cost": ("price", "charge"),
    "price": ("cost", "rate"),
    "fix": ("repair", "sort out"),
    "wrong": ("incorrect", "mistaken"),
    "money": ("cash", "funds"),
    "quickly": ("fast", "soon"),
    "problem": ("issue", "trouble"),
    "issue": ("problem", "difficulty"),
    "tell": ("inform", "let me know"),
    "find": ("locate", "see"),
    "how": ("in what way",),
    "cannot": ("can't", "am unable to", "can not"),
    "can't": ("cannot", "am not able to"),
    "lost": ("misplaced", "mislaid"),
    "start": ("begin",),
    "begin": ("start",),
    "big": ("large",),
    "allowed": ("permitted", "possible"),
    "possible": ("allowed", "feasible"),
    "today": ("now", "this day"),
    "show": ("display", "present"),
    "use": ("employ", "apply"),
    "new": ("recent", "fresh"),
}

FILLERS = (
    "please",
    "hi",
    "hello",
    "um",
    "thanks",
    "well",
    "so",
    "just",
    "really",
    "again",
    "actually",
    "ok",
)
