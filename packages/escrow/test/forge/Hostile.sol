// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {Escrow} from "../../contracts/Escrow.sol";

contract PlainToken is ERC20 {
    constructor() ERC20("Plain", "P") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// @dev Keeps one per cent of each transfer.
contract FeeToken is PlainToken {
    function _update(address from, address to, uint256 value) internal override {
        uint256 fee = from == address(0) || to == address(0) ? 0 : value / 100;
        super._update(from, to, value - fee);
        if (fee != 0) super._update(from, address(0), fee);
    }
}

/// @dev Takes an authorization and moves one unit less than it says.
contract ShortToken is PlainToken {
    fallback() external {
        (address from, address to, uint256 value) = abi.decode(msg.data[4:100], (address, address, uint256));
        _transfer(from, to, value - 1);
    }
}

/// @dev Returns nothing, like the oldest of the large stable coins.
contract NoReturnToken {
    mapping(address => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external {
        move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        move(from, to, amount);
    }

    function move(address from, address to, uint256 amount) private {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @dev Refuses people on its list, and can say no without reverting or say a lot.
contract MoodyToken is PlainToken {
    enum Mood {
        Fair,
        ReturnFalse,
        ReturnBomb,
        BurnGas
    }

    mapping(address => bool) public denied;
    Mood public mood;

    function deny(address who, bool yes) external {
        denied[who] = yes;
    }

    function setMood(Mood mood_) external {
        mood = mood_;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        if (mood == Mood.ReturnFalse) return false;
        if (mood == Mood.ReturnBomb) {
            assembly {
                return(0, 100000)
            }
        }
        while (mood == Mood.BurnGas) {}
        require(!denied[to], "denied");
        return super.transfer(to, amount);
    }
}

/// @dev Calls its owner back in the middle of a transfer.
contract CallbackToken is PlainToken {
    address public target;
    bytes public call;
    bytes public failure;

    function arm(address target_, bytes calldata call_) external {
        (target, call) = (target_, call_);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        if (call.length != 0) {
            bytes memory once = call;
            call = "";
            (bool ok, bytes memory result) = target.call(once);
            if (!ok) failure = result;
        }
        return super.transferFrom(from, to, amount);
    }
}

/// @dev A party that does not want its money, or wants more than its money.
contract Refuser {
    enum Mood {
        Take,
        Refuse,
        BurnGas,
        ReturnBomb,
        Reenter
    }

    Mood public mood;
    Escrow public escrow;
    bytes public call;

    constructor(Escrow escrow_) {
        escrow = escrow_;
    }

    function setMood(Mood mood_) external {
        mood = mood_;
    }

    function arm(bytes calldata call_) external {
        call = call_;
    }

    function act(bytes calldata data) external payable returns (bytes memory) {
        (bool ok, bytes memory result) = address(escrow).call{value: msg.value}(data);
        if (!ok) {
            assembly {
                revert(add(result, 32), mload(result))
            }
        }
        return result;
    }

    receive() external payable {
        require(mood != Mood.Refuse, "no");
        while (mood == Mood.BurnGas) {}
        if (mood == Mood.ReturnBomb) {
            assembly {
                revert(0, 100000)
            }
        }
        if (mood == Mood.Reenter) {
            (bool ok,) = address(escrow).call(call);
            require(ok, "could not come back in");
        }
    }
}
